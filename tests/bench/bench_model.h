// The benchmarks' inputs: one model, loaded once, and traces of random tokens.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>

#include "data/trace_rows.h"
#include "trainer/model/transformer.h"
#include "trainer/scorer/scorer.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight::bench {

/// Command line of foresight_bench, besides Google Benchmark's own.
struct BenchOptions {
  std::filesystem::path model = "models/SmolLM2-135M-Instruct";
  std::string device = "cpu", dtype = "float32";
};
BenchOptions& bench_options();

/// The model of --model on --device in --dtype.
const Transformer& bench_model();

/// [length] token ids, the same in every run; traces differ by `seed`.
torch::Tensor bench_tokens(std::int64_t length, std::int64_t seed = 0);

/// bench_tokens() as a row, and what a file recorded of it says of its origin.
TokenRow bench_row(std::int64_t length, std::int64_t seed = 0);
OracleProvenance bench_provenance();

/// Queries that attend at once on the model's device.
std::int64_t bench_query_block();

/// A trace of bench_tokens(), recorded by the oracle once a process in a temporary folder.
const RecordedTrace& bench_trace(std::int64_t length, std::int64_t seed = 0);

/// A scorer of random weights with the features that runs use by default.
const Scorer& bench_scorer();

/// Bytes that the process holds more than `before` at its peak since reset_peak_resident_bytes().
double peak_beyond(std::int64_t before);

/// Waits for the device, so that a clock measures all of its work.
void wait_for_device();

/// Seconds that `work` takes, the device's included.
double seconds_of(const std::function<void()>& work);

}  // namespace foresight::bench
