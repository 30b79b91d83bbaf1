// Future attention straight from its definition.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace foresight {

/// A[k][b][j] straight from the definition, one query at a time, in double: query [H, L, d], key [K, L, d].
inline std::vector<double> naive_attention(const torch::Tensor& query, const torch::Tensor& key,
                                           std::int64_t block) {
  const std::int64_t heads = key.size(0), group = query.size(0) / heads, length = key.size(1),
                     d = key.size(2);
  const std::int64_t blocks = (length + block - 1) / block;
  const auto q = query.accessor<float, 3>();
  const auto k = key.accessor<float, 3>();
  std::vector<double> result(static_cast<std::size_t>(heads * blocks * length), 0.0);
  for (std::int64_t h = 0; h < heads * group; ++h) {
    for (std::int64_t t = 0; t < length; ++t) {
      std::vector<double> p;
      double total = 0;
      for (std::int64_t j = 0; j <= t; ++j) {
        double dot = 0;
        for (std::int64_t c = 0; c < d; ++c)
          dot += static_cast<double>(q[h][t][c]) * static_cast<double>(k[h / group][j][c]);
        p.push_back(std::exp(dot / std::sqrt(static_cast<double>(d))));
        total += p.back();
      }
      const std::int64_t b = t / block, real = std::min(block, length - b * block);
      for (std::int64_t j = 0; j <= t; ++j) {
        result[static_cast<std::size_t>(((h / group) * blocks + b) * length + j)] +=
            p[static_cast<std::size_t>(j)] / total / static_cast<double>(real * group);
      }
    }
  }
  return result;
}

}  // namespace foresight
