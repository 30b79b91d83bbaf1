// The feed-forward weights of a layer, as the files of different models name them.
#pragma once

#include <string>

#include "trainer/model/feed_forward.h"
#include "trainer/model/transformer.h"
#include "trainer/model/weights.h"

namespace foresight {

/// A weight of matrix products as a model holds it: on its device, in the products' type, packed.
torch::Tensor product_weight(const torch::Tensor& values, const ModelOptions& options);

/// `prefix` is "model.layers.3.mlp.". What does not fit is noted in `weights`, and the result is then of no
/// use: WeightReader::finish() throws.
DenseWeights take_dense(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                        const ModelOptions& options);

/// Of a mixture, with its shared expert where it has one, whose experts are stored one by one
/// (experts.5.gate_proj.weight) or stacked (experts.gate_up_proj), in gpt-oss stacked the other way round or
/// in MXFP4. The values go straight from the file to where they are held, in the products' type.
ExpertWeights take_experts(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                           const ModelOptions& options);

/// Of a recurrent layer; `prefix` is "model.layers.3.linear_attn.".
DeltaNetWeights take_delta_net(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                               const ModelOptions& options);

}  // namespace foresight
