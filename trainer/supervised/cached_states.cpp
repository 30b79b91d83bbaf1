#include "trainer/supervised/cached_states.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "golden_eviction/recorded_plan.h"
#include "trainer/base/await_file.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/supervised/eviction_samples.h"

namespace foresight {
namespace {

/// States that are shown to a consumer at once: bounds the features in memory.
constexpr std::size_t kStatesTogether = 8;

/// Positions that candidates of evictions up to step `last` can have.
std::int64_t cached_positions(const CacheSize& size, std::int64_t last) {
  return size.seen_at_step(last) - size.window;
}

std::span<const std::byte> bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// A batch of traces by their numbers, and whether all their files are there.
struct ReplayBatch {
  std::vector<std::size_t> traces;
  bool done = true;
};

std::map<std::string, std::string> identity(const Transformer& model, const RecordedTrace& trace,
                                            const CacheSize& size, ScorerFeatures features,
                                            const std::string& behaviour,
                                            const std::vector<std::int64_t>& evictions) {
  return {{"format", "foresight.states.2"},
          {"model_fingerprint", model.fingerprint()},
          {"dtype", model.dtype_name()},
          {"tokens", tensor_sha256(trace.tokens)},
          {"budget", std::to_string(size.budget)},
          {"window", std::to_string(size.window)},
          {"protect_sinks", std::to_string(size.protect_sinks)},
          {"protect_prompt", size.protect_prompt ? "true" : "false"},
          {"features", to_string(features)},
          {"behaviour", behaviour},
          {"evictions", join(evictions, " ")}};
}

bool is_done(const std::filesystem::path& file, const std::map<std::string, std::string>& wanted) {
  if (!std::filesystem::exists(file)) return false;
  try {
    return SafetensorsFile(file).metadata() == wanted;  // else of another model, trace, cache or round
  } catch (const Error& error) {
    log_warning(concat("a file of cached states cannot be read and is computed again: ", error.what()));
  }
  return false;
}

/// The file of one trace while the replay fills it.
class StatesFile {
 public:
  StatesFile(const std::filesystem::path& file, const ModelShape& shape, ScorerFeatures features,
             const CacheSize& size, const std::vector<std::int64_t>& evictions,
             const std::map<std::string, std::string>& metadata)
      : shape_(shape),
        features_(features),
        size_(size),
        evictions_(evictions),
        positions_(cached_positions(size, evictions.back())),
        candidates_(static_cast<std::size_t>(shape.evicting_layers()) * evictions.size()),
        writer_(file, tensors(), metadata) {}

  /// Key and value of the positions that come to an end of a window, and the state of an eviction that is
  /// kept. `view` of this trace's row alone.
  void add(const EvictionView& view) {
    if (view.step > evictions_.back()) return;
    add_entries(view);
    const auto found = std::find(evictions_.begin(), evictions_.end(), view.step);
    if (found == evictions_.end()) return;
    const std::int64_t place = view.layer * count() + (found - evictions_.begin());
    const torch::Tensor statistics =
        candidate_features(view, features_)[0].narrow(2, 2 * shape_.head_dimension, statistics_width());
    fill("statistics", place, statistics.to(torch::kCPU, torch::kFloat16));
    candidates_[static_cast<std::size_t>(place)] =
        view.positions[0].narrow(1, 0, size_.budget).to(torch::kCPU, torch::kInt32);
    fill("positions", place, candidates_[static_cast<std::size_t>(place)]);
  }

  /// Adds what the oracle says of the candidates that were seen, and publishes.
  void finish(const OracleReader& reader) {
    for (std::int64_t layer = 0; layer < shape_.evicting_layers(); ++layer) {
      const torch::Tensor contribution = recorded_contribution(reader, layer, size_, evictions_);
      for (std::int64_t i = 0; i < count(); ++i) {
        const std::int64_t place = layer * count() + i;
        const torch::Tensor& seen = candidates_[static_cast<std::size_t>(place)];
        fill("oracle", place, oracle_scores(contribution[i], seen.to(torch::kInt64)));
      }
    }
    writer_.publish();
  }

 private:
  std::int64_t count() const { return static_cast<std::int64_t>(evictions_.size()); }
  std::int64_t statistics_width() const { return statistics_of(features_, shape_.group()); }

  std::vector<TensorToFill> tensors() const {
    const std::int64_t layers = shape_.evicting_layers(), heads = shape_.kv_heads;
    return {{"entries", Dtype::kFloat16, {layers, heads, positions_, 2 * shape_.head_dimension}},
            {"positions", Dtype::kInt32, {layers, count(), heads, size_.budget}},
            {"statistics", Dtype::kFloat16, {layers, count(), heads, size_.budget, statistics_width()}},
            {"oracle", Dtype::kFloat32, {layers, count(), heads, size_.budget}}};
  }

  /// `values` as element number `place` of a tensor of such elements.
  void fill(const std::string& name, std::int64_t place, const torch::Tensor& values) {
    const torch::Tensor whole = values.contiguous();
    writer_.fill(name, place * whole.numel(), bytes_of(whole));
  }

  /// The newest entries, all of them at the first eviction.
  void add_entries(const EvictionView& view) {
    const std::int64_t width = 2 * shape_.head_dimension, seen = size_.seen_at_step(view.step);
    const std::int64_t count = view.step == 0 ? size_.entries() : size_.window, first = seen - count;
    const std::int64_t kept = std::min(count, positions_ - first);
    if (kept <= 0) return;
    const auto newest = [&](const torch::Tensor& values) {
      return values[0].narrow(1, size_.entries() - count, kept);
    };
    const torch::Tensor entries = torch::cat({newest(view.keys), newest(view.values)}, 2)
                                      .to(torch::kCPU, torch::kFloat16)
                                      .contiguous();  // [K, kept, 2d]
    for (std::int64_t head = 0; head < shape_.kv_heads; ++head) {
      writer_.fill("entries", ((view.layer * shape_.kv_heads + head) * positions_ + first) * width,
                   bytes_of(entries[head]));
    }
  }

  ModelShape shape_;
  ScorerFeatures features_;
  CacheSize size_;
  std::vector<std::int64_t> evictions_;
  std::int64_t positions_;
  std::vector<torch::Tensor> candidates_;  // by layer and eviction: [K, B] int32
  SafetensorsWriter writer_;
};

/// What one replay is of.
struct Replay {
  std::vector<const RecordedTrace*> traces;
  std::vector<std::filesystem::path> files;
  std::vector<std::vector<std::int64_t>> evictions;  // by trace
  CacheSize size;
};

/// Replays traces of one length and one size of cache together and writes their files.
void replay(const Transformer& model, const Replay& of, ScorerFeatures features, const Behaviour& behaviour,
            const std::function<void(std::int64_t)>& on_tokens) {
  std::vector<std::unique_ptr<StatesFile>> files;
  std::int64_t last = 0;
  for (std::size_t n = 0; n < of.traces.size(); ++n) {
    const RecordedTrace& trace = *of.traces[n];
    files.push_back(std::make_unique<StatesFile>(
        of.files[n], model.shape(), features, of.size, of.evictions[n],
        identity(model, trace, of.size, features, behaviour.name, of.evictions[n])));
    last = std::max(last, of.evictions[n].back());
  }
  const EvictionSelector follow = behaviour.selector(of.traces, of.size);
  const EvictionSelector show = [&](const EvictionView& view) {
    for (std::size_t n = 0; n < files.size(); ++n) files[n]->add(view.rows(static_cast<std::int64_t>(n), 1));
    return follow(view);
  };
  replay_evictions(model, stacked_tokens(of.traces), of.size, /*copies=*/1, last + 1, show, on_tokens);
  for (std::size_t n = 0; n < files.size(); ++n) files[n]->finish(OracleReader(of.traces[n]->file));
}

/// Traces of one length and one size of cache, at most kTracesPerReplay each, by their numbers.
std::vector<std::vector<std::size_t>> alike_batches(const std::vector<RecordedTrace>& traces,
                                                    const std::vector<CacheSize>& sizes) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> filling;  // by length and budget
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const auto [place, is_new] =
        filling.try_emplace({traces[i].length(), sizes.at(i).budget}, batches.size());
    if (!is_new && batches[place->second].size() == kTracesPerReplay) place->second = batches.size();
    if (place->second == batches.size()) batches.emplace_back();
    batches[place->second].push_back(i);
  }
  return batches;
}

/// Which traces are replayed together, and whether that was done. Rank 0 looks, for all: its digests cost
/// reading every file.
std::vector<ReplayBatch> replay_batches(const std::vector<RecordedTrace>& traces,
                                        const std::vector<CacheSize>& sizes,
                                        const std::function<bool(std::size_t)>& trace_is_done, World& world) {
  const auto numbers = alike_batches(traces, sizes);
  std::vector<bool> verdicts;
  if (world.leads()) {
    for (const auto& batch : numbers) verdicts.push_back(std::ranges::all_of(batch, trace_is_done));
  }
  verdicts = world.broadcast_flags(verdicts, "replayed traces");
  std::vector<ReplayBatch> batches;
  for (std::size_t b = 0; b < numbers.size(); ++b) batches.push_back({numbers[b], verdicts.at(b)});
  return batches;
}

/// Bytes of every position's key and value, and of one eviction.
double entry_bytes(const ModelShape& shape) {
  return static_cast<double>(shape.evicting_layers() * shape.kv_heads * 2 * shape.head_dimension) * 2;
}
double eviction_bytes(const ModelShape& shape, ScorerFeatures features, const CacheSize& size) {
  const std::int64_t candidate =
      statistics_of(features, shape.group()) * 2 + 4 + 4;  // statistics, position, oracle
  return static_cast<double>(shape.evicting_layers() * shape.kv_heads * size.budget * candidate);
}

/// A file has each key once, as it was cached; every eviction sees it from another distance. d: dimensions of
/// a key.
void turn_keys(RankedStates& states, std::int64_t d, const CacheSize& size, const KeyRotation& rotation) {
  for (std::size_t i = 0; i < states.evictions.size(); ++i) {
    const std::int64_t seen = size.seen_at_step(states.evictions[i]);
    const torch::Tensor keys = states.features.narrow(0, static_cast<std::int64_t>(i), 1).narrow(3, 0, d);
    keys.copy_(relative_keys(keys, rotation.frequencies(states.layer, seen), seen - 1));
  }
}

/// Key and value [n K B, 2d] and statistics [n, K, B, S] in float16, side by side: [n, K, B, 2d + S] float32,
/// every number written once.
torch::Tensor joined_features(const torch::Tensor& entries, const torch::Tensor& statistics) {
  const std::int64_t width = entries.size(1), more = statistics.size(3);
  std::vector<std::int64_t> shape = statistics.sizes().vec();
  shape.back() = width + more;
  torch::Tensor features = torch::empty(shape, torch::kFloat32);
  features.view({-1, width + more}).narrow(1, 0, width).copy_(entries);
  features.narrow(3, width, more).copy_(statistics);
  return features;
}

}  // namespace

double cached_bytes(const ModelShape& shape, ScorerFeatures features, const CacheSize& size,
                    std::int64_t evictions, std::int64_t last) {
  return static_cast<double>(cached_positions(size, last)) * entry_bytes(shape) +
         static_cast<double>(evictions) * eviction_bytes(shape, features, size);
}

std::optional<std::vector<std::vector<std::int64_t>>> cached_evictions(
    const std::vector<std::int64_t>& lengths, const ModelShape& shape, ScorerFeatures features,
    const std::vector<CacheSize>& sizes, double limit_bytes, std::int64_t least, std::uint64_t seed) {
  double left = limit_bytes;  // for evictions, once every position has its place
  std::int64_t most = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::int64_t steps = sizes.at(i).steps(lengths[i]);
    left -= cached_bytes(shape, features, sizes[i], 0, steps - 1);
    most = std::max(most, steps);
  }
  const auto bytes_of_count = [&](std::int64_t count) {
    double bytes = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const std::int64_t evictions = std::min(count, sizes[i].steps(lengths[i]));
      bytes += static_cast<double>(evictions) * eviction_bytes(shape, features, sizes[i]);
    }
    return bytes;
  };
  std::int64_t count = most;
  while (count > 0 && bytes_of_count(count) > left) --count;
  if (count < std::min(least, most)) return std::nullopt;
  std::vector<std::vector<std::int64_t>> evictions;
  for (std::size_t i = 0; i < lengths.size(); ++i)
    evictions.push_back(
        spread_evictions(sizes[i].steps(lengths[i]), count, static_cast<std::int64_t>(i), seed));
  return evictions;
}

CachedStates::CachedStates(const std::filesystem::path& folder, const Transformer& model,
                           const std::vector<RecordedTrace>& traces, const std::vector<CacheSize>& sizes,
                           ScorerFeatures features, const Behaviour& behaviour,
                           std::vector<std::vector<std::int64_t>> evictions, World& world)
    : evictions_(std::move(evictions)),
      sizes_(sizes),
      features_(features),
      rotation_(model.shape(), torch::kCPU) {
  std::vector<std::filesystem::path> files;
  for (const RecordedTrace& trace : traces) files.push_back(folder / (trace.id + ".safetensors"));
  const std::vector<ReplayBatch> batches = replay_batches(
      traces, sizes,
      [&](std::size_t i) {
        return is_done(files[i],
                       identity(model, traces[i], sizes[i], features, behaviour.name, evictions_[i]));
      },
      world);
  std::vector<std::int64_t> costs;
  std::int64_t tokens_here = 0, done = 0;
  std::size_t traces_missing = 0;
  for (const ReplayBatch& batch : batches) {
    if (!batch.done) traces_missing += batch.traces.size();
    costs.push_back(batch.done ? 0
                               : static_cast<std::int64_t>(batch.traces.size()) *
                                     traces[batch.traces.front()].length());
  }
  const std::vector<int> rank_of = deal(costs, world.size());
  for (std::size_t b = 0; b < batches.size(); ++b) tokens_here += rank_of[b] == world.rank() ? costs[b] : 0;
  log_info(concat("supervised: ", traces.size() - traces_missing, " traces have been replayed, ",
                  traces_missing, " are left"));
  Progress progress(concat("replay under ", behaviour.name.substr(0, behaviour.name.find(' '))), "tokens",
                    tokens_here);
  bool stopped = false;
  map_units(
      world, costs,
      [&](std::size_t b) {
        if (batches[b].done) return std::string();
        stopped = stopped || stop_requested();
        if (stopped) return std::string();
        Replay together{.traces = {}, .files = {}, .evictions = {}, .size = sizes[batches[b].traces.front()]};
        for (const std::size_t i : batches[b].traces) {
          together.traces.push_back(&traces[i]);
          together.files.push_back(files[i]);
          together.evictions.push_back(evictions_[i]);
        }
        replay(model, together, features, behaviour, [&](std::int64_t tokens) {
          progress.update(done += tokens);
          world.tick();
        });
        return std::string();
      },
      "replay of the training traces");
  if (world.any(stopped, "replay of the training traces"))
    throw Error(ErrorKind::kInterrupted,
                "supervised: stopped; replayed traces are kept, run the same command again to resume");
  progress.finish();
  for (std::size_t i = 0; i < traces.size(); ++i) {
    await_file(files[i]);
    files_.emplace_back(files[i]);
    protected_.push_back(sizes[i].protected_entries(traces[i].prompt_tokens()));
  }
}

void CachedStates::visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
                         const RankedStatesConsumer& consume) const {
  const SafetensorsFile& file = files_.at(static_cast<std::size_t>(trace));
  const std::vector<std::int64_t>& stored = evictions_[static_cast<std::size_t>(trace)];
  const torch::Tensor entries = view_tensor(file.at("entries")),
                      positions = view_tensor(file.at("positions")),
                      statistics = view_tensor(file.at("statistics")),
                      oracle = view_tensor(file.at("oracle"));
  const std::int64_t open = protected_[static_cast<std::size_t>(trace)];
  const torch::Tensor head_start =
      torch::arange(entries.size(1), torch::kInt64).unsqueeze(1) * entries.size(2);  // [K, 1]
  for (std::int64_t layer = 0; layer < entries.size(0); ++layer) {
    const torch::Tensor rows = entries[layer].flatten(0, 1);  // [K positions, 2d]
    for (std::size_t first = 0; first < evictions.size(); first += kStatesTogether) {
      RankedStates states{.layer = layer, .evictions = {}, .features = {}, .oracle = {}};
      std::vector<std::int64_t> places;
      for (std::size_t i = first; i < std::min(first + kStatesTogether, evictions.size()); ++i) {
        places.push_back(std::lower_bound(stored.begin(), stored.end(), evictions[i]) - stored.begin());
        states.evictions.push_back(evictions[i]);
      }
      const torch::Tensor which = torch::tensor(places);
      const auto of_states = [&](const torch::Tensor& all) {
        return all[layer].index_select(0, which).slice(2, open);
      };
      const torch::Tensor chosen = of_states(positions) + head_start;  // [n, K, B]
      states.features = joined_features(rows.index_select(0, chosen.flatten()), of_states(statistics));
      if (features_ == ScorerFeatures::kRelative)
        turn_keys(states, entries.size(3) / 2, sizes_[static_cast<std::size_t>(trace)], rotation_);
      states.oracle = of_states(oracle);
      consume(states);
    }
  }
}

}  // namespace foresight
