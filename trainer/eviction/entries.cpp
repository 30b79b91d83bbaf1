#include "trainer/eviction/entries.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
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

torch::Tensor kept_entries(const torch::Tensor& evicted, std::int64_t budget) {
  const std::int64_t rows = evicted.size(0), heads = evicted.size(1), window = evicted.size(2);
  torch::Tensor keep = torch::ones({rows, heads, budget + window}, evicted.options().dtype(torch::kBool));
  keep.scatter_(2, evicted, false);
  const torch::Tensor kept = keep.nonzero();  // row-major, so ascending within a head
  if (kept.size(0) != rows * heads * budget) {
    throw Error(ErrorKind::kInternal, concat("a policy evicted an entry twice: ", kept.size(0),
                                             " entries kept, expected ", rows * heads * budget));
  }
  return kept.select(1, 2).view({rows, heads, budget});
}

}  // namespace foresight
