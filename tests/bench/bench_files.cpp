// Oracle files compared with plain files of their size, written to the disk and read from it.
#include <fcntl.h>
#include <unistd.h>

#include <torch/types.h>

#include <benchmark/benchmark.h>

#include <fstream>

#include "data/oracle_file.h"
#include "tests/base/temporary_folder.h"
#include "trainer/base/random.h"

namespace foresight::bench {
namespace {

// The attention of SmolLM2-135M over 8192 tokens: 94 MiB.
const OracleDimensions kDimensions{.layers = 30, .kv_heads = 3, .tokens = 8192, .block_tokens = 64};

std::size_t layer_elements() {
  return static_cast<std::size_t>(kDimensions.kv_heads * kDimensions.packed_elements());
}

/// Float16 bits like those of attention: positive, small, without order.
const std::vector<std::uint16_t>& layer_bits() {
  static const std::vector<std::uint16_t> bits = [] {
    const torch::Tensor scores = torch::randn({static_cast<std::int64_t>(layer_elements())});
    const torch::Tensor halves = (scores * 2 - 8).exp().to(torch::kFloat16);
    const auto* data = static_cast<const std::uint16_t*>(halves.const_data_ptr());
    return std::vector<std::uint16_t>(data, data + halves.numel());
  }();
  return bits;
}

/// Drops the file from the operating system's cache, so that the disk is read.
void forget_pages(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY);
  ::fsync(descriptor);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
}

void write_oracle(const std::filesystem::path& file, int compression) {
  const auto tokens = static_cast<std::size_t>(kDimensions.tokens);
  OracleTrace trace{"train-000000", std::vector<std::int32_t>(tokens, 1), std::vector<float>(tokens, 1.0F),
                    std::vector<float>(tokens, 1.0F), std::vector<std::uint8_t>(tokens, 1)};
  OracleWriter writer(file, kDimensions, {"model", "tokenizer", "", "", "float32"}, trace, compression);
  for (std::int64_t layer = 0; layer < kDimensions.layers; ++layer) writer.write_layer(layer, layer_bits());
  writer.finish();
}

void write_plain(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  for (std::int64_t layer = 0; layer < kDimensions.layers; ++layer)
    benchmark::DoNotOptimize(::write(descriptor, layer_bits().data(), layer_elements() * 2));
  ::fsync(descriptor);
  ::close(descriptor);
}

void set_bytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(layer_elements()) * 2 * kDimensions.layers *
                          state.iterations());
}

void file_write_plain(benchmark::State& state) {
  const TemporaryFolder folder;
  layer_bits();
  for (auto _ : state) write_plain(folder / "plain");
  set_bytes(state);
}

void file_write_oracle(benchmark::State& state) {
  const TemporaryFolder folder;
  layer_bits();
  for (auto _ : state) write_oracle(folder / "oracle.h5", static_cast<int>(state.range(0)));
  set_bytes(state);
  state.counters["size_ratio"] =
      static_cast<double>(std::filesystem::file_size(folder / "oracle.h5")) /
      static_cast<double>(layer_elements() * 2 * static_cast<std::size_t>(kDimensions.layers));
}

void file_read_plain(benchmark::State& state) {
  const TemporaryFolder folder;
  write_plain(folder / "plain");
  std::vector<std::uint16_t> layer(layer_elements());
  for (auto _ : state) {
    state.PauseTiming();
    forget_pages(folder / "plain");
    state.ResumeTiming();
    std::ifstream in(folder / "plain", std::ios::binary);
    while (in.read(reinterpret_cast<char*>(layer.data()), static_cast<std::streamsize>(layer.size() * 2)))
      benchmark::DoNotOptimize(layer.data());
  }
  set_bytes(state);
}

void file_read_oracle(benchmark::State& state) {
  const TemporaryFolder folder;
  write_oracle(folder / "oracle.h5", static_cast<int>(state.range(0)));
  for (auto _ : state) {
    state.PauseTiming();
    forget_pages(folder / "oracle.h5");
    state.ResumeTiming();
    const OracleReader reader(folder / "oracle.h5");
    for (std::int64_t layer = 0; layer < kDimensions.layers; ++layer)
      reader.open_layer(layer);  // reads it all
  }
  set_bytes(state);
}

BENCHMARK(file_write_plain)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(file_write_oracle)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(file_read_plain)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(file_read_oracle)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
