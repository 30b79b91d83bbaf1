#include "trainer/eviction/entries.h"

#include "trainer/model/tensor_io.h"

namespace foresight {

torch::Tensor select_entries(const torch::Tensor& vectors, const torch::Tensor& entries) {
  check_shape(vectors, {-1, -1, -1, -1}, "vectors of entries");
  const std::int64_t rows = vectors.size(0), heads = vectors.size(1), count = vectors.size(2),
                     d = vectors.size(3);
  check_shape(entries, {rows, heads, -1}, "chosen entries");
  const torch::Tensor before =
      (torch::arange(rows * heads, entries.options()) * count).view({rows, heads, 1});  // in heads before
  return vectors.reshape({rows * heads * count, d})
      .index_select(0, (entries + before).reshape({-1}))
      .view({rows, heads, entries.size(2), d});
}

}  // namespace foresight
