// foresight_bench: every speed that docs/performance.md reports, by Google Benchmark.
//
// usage: foresight_bench [--model=FOLDER] [--device=cpu|cuda] [--dtype=float32|bfloat16] [Google Benchmark's
// options]
//   scripts/benchmark.py runs it and its peers, and prints the table of ratios.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "tests/bench/bench_model.h"
#include "trainer/base/error.h"

namespace {

/// Takes `--name=value` out of the arguments.
void take_option(int& argc, char** argv, const std::string& name,
                 const std::function<void(const std::string&)>& set) {
  const std::string prefix = "--" + name + "=";
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind(prefix, 0) == 0) {
      set(argument.substr(prefix.size()));
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
}

}  // namespace

int main(int argc, char** argv) {
  auto& options = foresight::bench::bench_options();
  take_option(argc, argv, "model", [&](const std::string& value) { options.model = value; });
  take_option(argc, argv, "device", [&](const std::string& value) { options.device = value; });
  take_option(argc, argv, "dtype", [&](const std::string& value) { options.dtype = value; });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    benchmark::RunSpecifiedBenchmarks();
  } catch (const foresight::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
