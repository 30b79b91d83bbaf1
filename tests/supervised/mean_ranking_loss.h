// The ranking loss of several rows as one number, for tests of values and gradients.
#pragma once

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "trainer/supervised/ranking_loss.h"

namespace foresight {

/// pairwise_ranking_rows() as a node of the graph: forward knows the gradient, backward scales it.
struct RankingFunction : torch::autograd::Function<RankingFunction> {
  using Tensors = torch::autograd::tensor_list;

  static Tensors forward(torch::autograd::AutogradContext* context, const torch::Tensor& scores,
                         const torch::Tensor& oracle, double margin, PairWeight weight) {
    const RankingRows rows = pairwise_ranking_rows(scores, oracle, margin, weight);
    context->save_for_backward({rows.gradient});
    context->mark_non_differentiable({rows.has_pair});
    return {rows.losses, rows.has_pair};
  }

  static Tensors backward(torch::autograd::AutogradContext* context, const Tensors& of_outputs) {
    const torch::Tensor gradient = context->get_saved_variables()[0];  // [rows, N]
    return {gradient * of_outputs[0].unsqueeze(-1), torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

/// The mean of pairwise_ranking_rows() over the rows that have a pair, []; 0, still attached to the graph,
/// when none has.
inline torch::Tensor pairwise_ranking_loss(const torch::Tensor& scores, const torch::Tensor& oracle,
                                           double margin, PairWeight weight = PairWeight::kUniform) {
  const auto rows = RankingFunction::apply(scores, oracle, margin, weight);  // losses, has_pair
  return rows[0].sum() / rows[1].sum().clamp_min(1);
}

}  // namespace foresight
