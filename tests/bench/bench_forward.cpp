// Forward passes compared with the bare products of the same shapes, and the speed of reading memory.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "tests/bench/bench_model.h"
#include "trainer/eviction/full_run.h"
#include "trainer/model/linear_product.h"

namespace foresight::bench {
namespace {

constexpr std::int64_t kHeadRows = 128;  // whose logits are in memory together

/// The matrix products of a forward pass and of the output layer, attention's own among them, on operands
/// that are there already. With `packed` the weights are in the program's layout, else as torch::linear()
/// takes them.
class BareProducts {
 public:
  BareProducts(std::int64_t tokens, bool packed)
      : shape_(bench_model().shape()), tokens_(tokens), packed_(packed) {
    const auto options =
        torch::TensorOptions().device(bench_model().options().device).dtype(bench_model().options().dtype);
    const std::int64_t hidden = shape_.hidden_size, d = shape_.head_dimension;
    const std::int64_t queries = shape_.query_heads * d, keys = shape_.kv_heads * d;
    const auto add = [&](std::int64_t out, std::int64_t in, std::int64_t rows) {
      products_.push_back({made(torch::randn({out, in}, options)), in, rows});
      if (!inputs_.contains(in)) inputs_[in] = torch::randn({kForwardTokens, in}, options);
    };
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      add(queries + 2 * keys, hidden, kForwardTokens);
      add(hidden, queries, kForwardTokens);
      const bool mixture = shape_.kind(layer).feed_forward == FeedForwardKind::kExperts;
      const ExpertShape& experts = shape_.experts;
      const std::int64_t width = mixture ? experts.intermediate_size : shape_.intermediate_size;
      // Every expert gets the same number of tokens.
      const std::int64_t rows = mixture ? kForwardTokens * experts.chosen / experts.count : kForwardTokens;
      for (std::int64_t part = 0; part < (mixture ? experts.count : 1); ++part) {
        add(2 * width, hidden, rows);
        add(hidden, width, rows);
      }
    }
    head_ = made(torch::randn({shape_.vocabulary_size, hidden}, options));
    query_ = torch::randn({shape_.kv_heads, shape_.group() * query_block_, d}, options);
    key_ = torch::randn({shape_.kv_heads, tokens, d}, options);
    probabilities_ = torch::randn({shape_.kv_heads, shape_.group() * query_block_, tokens}, options);
  }

  void run() const {
    const torch::NoGradGuard no_grad;
    for (const Product& product : products_) {
      const torch::Tensor input = inputs_.at(product.in).narrow(0, 0, product.rows);
      for (std::int64_t first = 0; first < tokens_; first += kForwardTokens) multiply(input, product.weight);
    }
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      for (std::int64_t seen = query_block_; seen <= tokens_; seen += query_block_) {
        const torch::Tensor keys = key_.narrow(1, 0, seen);
        benchmark::DoNotOptimize(torch::bmm(query_, keys.transpose(1, 2)));
        benchmark::DoNotOptimize(torch::bmm(probabilities_.narrow(2, 0, seen), keys));
      }
    }
    run_head();
  }

  /// The products of the output layer alone, one for every token.
  void run_head() const {
    const torch::NoGradGuard no_grad;
    const torch::Tensor some = inputs_.at(shape_.hidden_size).narrow(0, 0, kHeadRows);
    for (std::int64_t first = 0; first < tokens_; first += kHeadRows) multiply(some, head_);
  }

 private:
  struct Product {
    torch::Tensor weight;
    std::int64_t in, rows;  // the rows that it is multiplied with have `in` columns
  };

  torch::Tensor made(const torch::Tensor& weight) const { return packed_ ? packed_weight(weight) : weight; }

  void multiply(const torch::Tensor& input, const torch::Tensor& weight) const {
    benchmark::DoNotOptimize(packed_ ? linear_product(input, weight) : torch::linear(input, weight));
  }

  ModelShape shape_;
  std::int64_t tokens_, query_block_ = bench_query_block();
  bool packed_;
  std::vector<Product> products_;
  std::map<std::int64_t, torch::Tensor> inputs_;  // by width
  torch::Tensor head_, query_, key_, probabilities_;
};

void set_tokens_per_second(benchmark::State& state, std::int64_t tokens) {
  state.counters["tokens_per_second"] =
      benchmark::Counter(static_cast<double>(tokens * state.iterations()), benchmark::Counter::kIsRate);
}

void multiply(benchmark::State& state, void (BareProducts::*part)() const, bool packed) {
  const BareProducts products(state.range(0), packed);
  (products.*part)();
  for (auto _ : state) {
    (products.*part)();
    wait_for_device();
  }
  set_tokens_per_second(state, state.range(0));
}

void forward_products(benchmark::State& state) {
  multiply(state, &BareProducts::run, /*packed=*/false);
}

/// The same with weights that were packed once, as the program's are.
void forward_products_packed(benchmark::State& state) {
  multiply(state, &BareProducts::run, /*packed=*/true);
}

/// What an engine that only wants a prompt's last logits leaves out.
void forward_head(benchmark::State& state) {
  multiply(state, &BareProducts::run_head, /*packed=*/true);
}

/// Everything that the oracle's pass gives: hidden states, logits, loss and entropy.
void forward_full_pass(benchmark::State& state) {
  const torch::Tensor tokens = bench_tokens(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(full_pass(bench_model(), tokens, bench_query_block()));
    wait_for_device();
  }
  set_tokens_per_second(state, state.range(0));
}

/// The bytes of the model's weights, read once by the same threads.
void memory_read(benchmark::State& state) {
  const torch::Tensor bytes = torch::ones({128 << 20});  // 512 MiB
  for (auto _ : state) benchmark::DoNotOptimize(bytes.sum().item<float>());
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes.nbytes()) * state.iterations());
}

BENCHMARK(forward_products)->Arg(1024)->Arg(2048)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(forward_products_packed)
    ->Arg(1024)
    ->Arg(2048)
    ->Arg(4096)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(forward_head)->Arg(1024)->Arg(2048)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(forward_full_pass)->Arg(1024)->Arg(2048)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(memory_read)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
