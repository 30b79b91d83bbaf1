#include "trainer/model_files/layer_kinds.h"

#include <algorithm>

#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

constexpr const char* kTypesKey = "layer_types";
constexpr const char* kWindowKey = "sliding_window";
constexpr const char* kAskKey = "use_sliding_window";
constexpr std::int64_t kMostTokens = std::int64_t{1} << 31;

/// The window in tokens, 0 where there is none or it is not asked for.
std::int64_t window_of(const ConfigJson& config, const Architecture& architecture) {
  if (architecture.asks_to_slide && !config.flag(kAskKey)) return 0;
  return config.count(kWindowKey, kMostTokens, config.json().contains(kWindowKey) ? 0 : architecture.window);
}

struct NamedKind {
  const char* name;
  AttentionKind kind;
};
constexpr NamedKind kFullKind = {"full_attention", AttentionKind::kFull};
constexpr NamedKind kSlidingKind = {"sliding_attention", AttentionKind::kSliding};
constexpr NamedKind kRecurrentKind = {"linear_attention", AttentionKind::kRecurrent};

/// `layer_types` as it stands, of full attention and `other`; none where it is absent.
std::vector<AttentionKind> stated_kinds(const ConfigJson& config, std::int64_t layers,
                                        const NamedKind& other) {
  std::vector<AttentionKind> kinds;
  if (!config.has(kTypesKey)) return kinds;
  const Json& types = config.get(kTypesKey);
  if (!types.is_array()) config.fail(kTypesKey, "expected a list");
  for (const Json& type : types) {
    if (type != kFullKind.name && type != other.name) {
      config.fail(kTypesKey, concat("layer ", kinds.size(), ": ", shown_json(type), " is not supported (",
                                    kFullKind.name, " and ", other.name, " are)"));
    }
    kinds.push_back(type == kFullKind.name ? AttentionKind::kFull : other.kind);
  }
  if (static_cast<std::int64_t>(kinds.size()) != layers) {
    config.fail(kTypesKey, concat(kinds.size(), " entries, num_hidden_layers is ", layers));
  }
  return kinds;
}

/// What each layer is called, before it is known whether the window counts.
std::vector<AttentionKind> named_kinds(const ConfigJson& config, const Architecture& architecture,
                                       std::int64_t layers, std::int64_t window) {
  const bool listed = architecture.sliding != SlidingRule::kAll;
  std::vector<AttentionKind> kinds =
      listed ? stated_kinds(config, layers, kSlidingKind) : std::vector<AttentionKind>();
  if (!kinds.empty()) return kinds;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const bool slides = window > 0 && (architecture.slides == nullptr || architecture.slides(config, layer));
    kinds.push_back(slides ? AttentionKind::kSliding : AttentionKind::kFull);
  }
  return kinds;
}

/// Qwen3-Next: recurrent layers, but for each full_attention_interval-th.
void read_recurrent_kinds(const ConfigJson& config, ModelShape& shape) {
  constexpr const char* kIntervalKey = "full_attention_interval";
  constexpr std::int64_t kUsual = 4;
  const std::vector<AttentionKind> stated = stated_kinds(config, shape.layers, kRecurrentKind);
  const std::int64_t interval = config.count(kIntervalKey, kMostTokens, kUsual);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const AttentionKind usual =
        (layer + 1) % interval == 0 ? AttentionKind::kFull : AttentionKind::kRecurrent;
    shape.kinds.at(index).attention = stated.empty() ? usual : stated[index];
  }
  if (shape.evicting_layers() == 0) {
    config.fail(stated.empty() ? kIntervalKey : kTypesKey,
                "no layer has full attention, so nothing could be evicted");
  }
}

}  // namespace

void read_attention_kinds(const ConfigJson& config, const Architecture& architecture, ModelShape& shape) {
  if (architecture.qwen_next) {
    read_recurrent_kinds(config, shape);
    return;
  }
  const std::int64_t window = window_of(config, architecture);
  const std::vector<AttentionKind> kinds = named_kinds(config, architecture, shape.layers, window);
  const auto first = std::ranges::find(kinds, AttentionKind::kSliding);
  if (architecture.sliding == SlidingRule::kNever && (window > 0 || first != kinds.end())) {
    config.fail(window > 0 ? kWindowKey : kTypesKey,
                concat("sliding windows are not supported for ", architecture.name));
  }
  if (first == kinds.end()) return;
  if (window == 0) {
    config.fail(
        kWindowKey,
        concat("expected a number of tokens, as layer ", first - kinds.begin(), " is sliding_attention",
               architecture.asks_to_slide && !config.flag(kAskKey) ? ", and use_sliding_window true" : "",
               "; found ", shown_json(config.get(kWindowKey))));
  }
  if (window >= shape.max_positions) return;  // every query sees its whole text
  if (std::ranges::find(kinds, AttentionKind::kFull) == kinds.end()) {
    config.fail(kWindowKey,
                concat("every layer sees the last ", window, " tokens alone (max_position_embeddings ",
                       shape.max_positions, "): no layer has full attention, so nothing could be evicted"));
  }
  shape.sliding_window = window;
  for (std::size_t layer = 0; layer < kinds.size(); ++layer) shape.kinds.at(layer).attention = kinds[layer];
}

}  // namespace foresight
