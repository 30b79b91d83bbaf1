// A teacher-forced run over finished traces under eviction, window by window: the one engine of evaluation,
// validation, supervised training and GRPO. What it holds does not grow with the trace.
#pragma once

#include <torch/types.h>

#include <functional>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/full_run.h"
#include "trainer/eviction/row_layout.h"
#include "trainer/model/trace_tokens.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// What the model predicted in one window, for every row: tokens first .. first + count - 1.
struct EvictedWindow {
  std::int64_t first = 0;
  std::int64_t count = 0;  ///< 0 for the prefix, none of whose losses an eviction can touch
  torch::Tensor loss;      ///< [R, count] float32, nats
  torch::Tensor
      divergence;  ///< [R, count] KL(full KV || evicted) of the prediction, nats; undefined without full KV
  torch::Tensor agreement;  ///< [R, count] 1 where both hold the same token likeliest, else 0; as above
};

/// N traces of one length under eviction. The first window is the prefix of budget + window tokens, computed
/// once per trace; the rows are repeated when it ends, where the first eviction is. Every later window has
/// the same shape: a shorter last one is filled up with its last token, which nothing sees.
///
/// In a call of next() each layer calls the selector once, as its window ends, with all R rows: step 0 in the
/// first call, step s in the call that returns the losses after the eviction of step s - 1.
class EvictedRun {
 public:
  /// Throws Error(kInternal) for tokens of another shape.
  EvictedRun(const Transformer& model, const TraceTokens& traces, const CacheSize& size, std::int64_t copies,
             EvictionSelector select);

  /// Runs the next window and says what it predicted; false when no token is left to predict. With `full`,
  /// the same traces under the full cache, the predictions are compared with its.
  bool next(EvictedWindow& window, FullRun* full = nullptr);

  /// Runs the next window for its evictions alone: nothing is predicted. False as next().
  bool advance();

  /// First token of the window that next() will run; of the prefix 0.
  std::int64_t position() const { return position_; }
  /// EvictingCache::require_sound() of the evictions so far.
  void require_sound() const { cache_.require_sound(); }
  /// True when next() will return false.
  bool finished() const { return position_ > 0 && position_ >= length() - 1; }
  const RowLayout& rows() const { return layout_; }
  std::int64_t length() const { return tokens_.size(1); }
  torch::Device device() const { return tokens_.device(); }
  /// Row tokens that the next window takes through the model.
  std::int64_t tokens_of_next() const;

 private:
  void run_prefix();
  /// Hidden states [R, W, hidden] of the next window's tokens.
  torch::Tensor run_window();

  const Transformer* model_;
  torch::Tensor tokens_;  // [N, L], on the model's device
  CacheSize size_;
  RowLayout layout_;
  EvictingCache cache_;
  std::int64_t position_ = 0;
};

/// Row tokens that a whole run takes through the model for one trace of `length` tokens.
std::int64_t evicted_run_tokens(std::int64_t length, const CacheSize& size, std::int64_t copies);

/// What a run predicted of whole traces, token by token; zero where no eviction can reach.
struct EvictedPass {
  torch::Tensor losses;      ///< [R, L] float32
  torch::Tensor divergence;  ///< [R, L]; undefined without full KV
  torch::Tensor agreement;   ///< [R, L]; undefined without full KV

  /// Zeros for R rows of L tokens, for add().
  EvictedPass(std::int64_t rows, std::int64_t tokens, bool compared,
              const torch::Device& device = torch::kCPU);
  void add(const EvictedWindow& window);
};

/// Runs through the first `steps` evictions, predicting nothing: for selectors that look on. `on_tokens`
/// (optional) is told the row tokens done.
void replay_evictions(const Transformer& model, const TraceTokens& traces, const CacheSize& size,
                      std::int64_t copies, std::int64_t steps, const EvictionSelector& select,
                      const std::function<void(std::int64_t)>& on_tokens = {});

/// Runs to the end, compared with `full` where it is given, and gathers what was predicted. `on_window`
/// (optional) is shown each window, `on_tokens` (optional) told the row tokens done. The pass is on the CPU;
/// until its end nobody waits for a GPU.
EvictedPass run_to_end(EvictedRun& run, FullRun* full,
                       const std::function<void(const EvictedWindow&)>& on_window,
                       const std::function<void(std::int64_t)>& on_tokens);

}  // namespace foresight
