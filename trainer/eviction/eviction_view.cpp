#include "trainer/eviction/eviction_view.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

EvictionView EvictionView::rows(std::int64_t first, std::int64_t count) const {
  EvictionView part = *this;
  for (torch::Tensor* tensor :
       {&part.keys, &part.values, &part.positions, &part.window_statistics, &part.queries, &part.cumulative,
        &part.decayed, &part.prompt_tokens, &part.protected_entries}) {
    if (tensor->defined()) *tensor = tensor->narrow(0, first, count);
  }
  return part;
}

torch::Tensor attention_of_last(const EvictionView& view, std::int64_t count) {
  if (count < 1 || count > view.window) {
    throw Error(ErrorKind::kInternal,
                concat("eviction view of layer ", view.layer, " step ", view.step, ": attention of the last ",
                       count, " of ", view.window, " queries"));
  }
  check_shape(view.keys, {-1, -1, view.budget + view.window, -1}, "keys of the eviction view");
  check_shape(view.queries, {view.keys.size(0), view.keys.size(1), -1, view.window, view.keys.size(3)},
              "queries of the eviction view");
  return attention_probabilities(view.queries.narrow(3, view.window - count, count), view.keys, {},
                                 view.rule);
}

}  // namespace foresight
