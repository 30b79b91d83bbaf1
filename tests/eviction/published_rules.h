// What the tests of the eviction rules against other implementations share. Include before tests/catch.h.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>

#include "tests/kernels/statistics_of.h"
#include "tests/reference/paths.h"
#include "tests/tensors.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/eviction/rule_policies.h"

namespace foresight::testing {

/// What an implementation was given and what it made of it: tests/reference/rules/`name`.safetensors.
struct PublishedRules {
  explicit PublishedRules(const std::string& name)
      : tensors(load_reference_tensors(reference_folder() / "rules" / (name + ".safetensors"))) {}

  /// The window's probabilities [R, K, g, W, N] that it was given.
  const torch::Tensor& attention() const { return tensors.at("window_attention"); }

  /// The other inputs; tensors that the file lacks stay undefined.
  EvictionView view() const {
    EvictionView result;
    result.keys = tensors.at("keys");
    result.window = attention().size(3);
    result.budget = attention().size(4) - result.window;
    result.window_statistics = statistics_of(attention());
    if (tensors.count("values") != 0) result.values = tensors.at("values");
    if (tensors.count("positions") != 0) result.positions = tensors.at("positions");
    if (tensors.count("cumulative") != 0) result.cumulative = tensors.at("cumulative");
    return result;
  }

  /// True when our scores are the published ones of `rule` with the other sign: they keep what is high.
  bool same_scores(const std::string& rule, const torch::Tensor& ours) const {
    return all_close(ours, tensors.at(rule + ".scores").neg(), 1e-5, 1e-8);
  }

  /// True when our scores evict what the published rule evicts, in every row and head.
  bool same_evicted(const std::string& rule, const torch::Tensor& ours) const {
    const torch::Tensor& published = tensors.at(rule + ".evicted");  // [R, K, W]
    return torch::equal(std::get<0>(highest_entries(ours, published.size(-1)).sort(-1)), published);
  }

  std::map<std::string, torch::Tensor> tensors;
};

}  // namespace foresight::testing
