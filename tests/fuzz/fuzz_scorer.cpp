// Scorer files against the shape of a model: as they are, and once more with a digest that fits.
#include <span>

#include "data/safetensors_header.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/mutate_safetensors.h"
#include "trainer/model_files/scorer_file.h"

namespace foresight::fuzz {
namespace {

/// The input with the digest of its content in place of the one that it has; empty where that cannot be.
std::string with_digest(std::string_view input) {
  std::string changed(input);
  try {
    const SafetensorsContent content = read_safetensors(std::as_bytes(std::span(changed)), "in");
    const auto stored = content.metadata.find(kScorerDigestKey);
    if (stored == content.metadata.end() || stored->second.empty()) return "";
    const std::size_t place = changed.find(stored->second);
    const std::string digest = scorer_digest(content.tensors, content.metadata);
    if (place == std::string::npos || stored->second.size() != digest.size()) return "";
    return changed.replace(place, digest.size(), digest);
  } catch (const Error&) {
    return "";
  }
}

void open_scorer(std::string_view input) {
  // Of the seeds that make_corpus.py writes.
  const ScorerShape kShape{.layers = 1, .kv_heads = 1, .head_dimension = 2, .group = 2};
  const auto path = put_file("scorer.safetensors", input);
  expect_kept({.name = "scorer.safetensors"}, input.size(), [&] {
    const ScorerFile scorer = ScorerFile::open(path, kShape);
    for (const auto& [name, tensor] : scorer.file.tensors()) {
      touch({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()});
    }
  });
}

}  // namespace

void fuzz_one(std::string_view input) {
  open_scorer(input);
  open_scorer(with_digest(input));
}

}  // namespace foresight::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  return foresight::fuzz::mutate_safetensors(data, size, max_size, seed);
}
