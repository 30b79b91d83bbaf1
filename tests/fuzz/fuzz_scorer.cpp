// Scorer files against the shape of a model.
#include "tests/fuzz/harness.h"
#include "tests/fuzz/mutate_safetensors.h"
#include "trainer/model_files/scorer_file.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  // Of the seeds that make_corpus.py writes.
  const ModelShape shape{.layers = 1, .query_heads = 2, .kv_heads = 1, .head_dimension = 2};
  const auto path = put_file("scorer.safetensors", input);
  expect_kept({.name = "scorer.safetensors"}, input.size(), [&] {
    const ScorerFile scorer = ScorerFile::open(path, shape);
    for (const auto& [name, tensor] : scorer.file.tensors()) {
      touch({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()});
    }
  });
}

}  // namespace foresight::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  return foresight::fuzz::mutate_safetensors(data, size, max_size, seed);
}
