#include "trainer/model_files/scorer_file.h"

#include <charconv>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

constexpr const char* kFeatureMean = "feature_mean";
constexpr const char* kFeatureDeviation = "feature_deviation";
/// What libraries give files of PyTorch tensors as metadata 'format'.
constexpr const char* kPlainFormat = "pt";

/// Typed access to one file's metadata and tensors; every fault names file and key or tensor.
class ScorerReader {
 public:
  explicit ScorerReader(const SafetensorsFile& file) : file_(file) {}

  std::string text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? "" : found->second;
  }

  /// A number of tokens; 0 where the file does not say.
  std::int64_t count(const std::string& key) const {
    const std::string value = text(key);
    if (!file_.metadata().contains(key)) return 0;
    std::int64_t number = -1;
    const auto [stopped, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc() || stopped != value.data() + value.size() || number < 0) {
      fail(concat("metadata '", key, "': expected an integer of at least 0, got '", one_line(value), "'"));
    }
    return number;
  }

  /// False where the file does not say.
  bool flag(const std::string& key) const {
    const std::string value = text(key);
    if (value == "true") return true;
    if (value == "false" || !file_.metadata().contains(key)) return false;
    fail(concat("metadata '", key, "': expected true or false, got '", one_line(value), "'"));
  }

  ScorerFeatures features() const {
    const std::string value = text("features");
    if (value.empty()) return ScorerFeatures::kNormalized;
    std::vector<std::string> words;
    for (const auto& [kind, word] : enum_names<ScorerFeatures>()) {
      if (value == word) return kind;
      words.push_back(word);
    }
    fail(concat("metadata 'features': expected ", join(words, ", "), ", got '", one_line(value), "'"));
  }

  void require_tensor(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const TensorView& tensor = file_.at(name);
    if (tensor.shape != shape) {
      fail(concat("tensor '", name, "' has shape [", one_line(join(tensor.shape, ", ")),
                  "], this model needs [", join(shape, ", "), "]: the scorer belongs to another model"));
    }
    if (!is_floating_point(tensor.dtype)) {
      fail(concat("tensor '", name, "' is ", dtype_name(tensor.dtype), ", expected floating point"));
    }
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kInput, concat(file_.path().string(), ": ", message));
  }

 private:
  const SafetensorsFile& file_;
};

/// A file of ours holds the digest of what was written; one that was given another format by a flipped bit
/// still holds it.
void require_digest(const SafetensorsFile& file, const std::string& format) {
  const auto stored = file.metadata().find(kScorerDigestKey);
  const ScorerReader reader(file);
  if (stored == file.metadata().end()) {
    if (format != kScorerFormat && format != kScorerFormatOfSomeLayers) return;
    reader.fail(concat("damaged: metadata '", kScorerDigestKey, "' is missing; take another copy"));
  }
  const std::string found = scorer_digest(file.tensors(), file.metadata());
  if (found != stored->second) {
    reader.fail(concat("damaged: expected content of SHA-256 ", one_line(stored->second), ", found ", found,
                       "; take another copy"));
  }
}

/// A file of the authors' code says nothing of its features, so it must be recognisable by all else: whatever
/// could be a scorer of another kind would be given features that it was not trained on.
void require_released(const SafetensorsFile& file, const std::string& format) {
  const ScorerReader reader(file);
  const std::string to_do = concat("take the original file, or save the tensors with its metadata (format ",
                                   kScorerFormat, ", features and the rest)");
  if (file.metadata().contains("format") && format != kPlainFormat) {
    reader.fail(
        concat("metadata 'format' is '", one_line(format), "', expected ", kScorerFormat, ", ",
               kScorerFormatWithoutDigest, ", ", kScorerFormatOfSomeLayers, ", or ", kPlainFormat,
               " or none for a released file: the file is not a scorer, or a later version wrote it"));
  }
  for (const char* name : {kFeatureMean, kFeatureDeviation}) {
    if (!file.contains(name)) continue;
    reader.fail(concat("holds '", name,
                       "' but no metadata 'format': the scorer was saved again without its "
                       "metadata, so its features are unknown; ",
                       to_do));
  }
  const std::string features = reader.text("features");
  if (features.empty() || features == "released") return;
  reader.fail(concat("metadata 'features' is '", one_line(features),
                     "', but without 'format' only released files are read; ", to_do));
}

/// Every tensor is one that a scorer of these layers has; a released file may hold norms, which are not used.
void require_nothing_else(const SafetensorsFile& file, const ScorerShape& shape, bool released) {
  std::set<std::string> known;
  if (!released) known = {kFeatureMean, kFeatureDeviation};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    for (const char* tensor : {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"})
      known.insert(judge_tensor_name(shape.number(layer), tensor));
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (known.contains(name) || (released && name.find(".judge_model.feature_norm.") != std::string::npos))
      continue;
    ScorerReader(file).fail(
        concat("tensor '", one_line(name),
               "' is not part of a scorer; to extract a scorer from a model's checkpoint, "
               "use python -m foresight_kv.import_released"));
  }
}

/// A file says of which layers it is unless it is of all.
void require_same_layers(const SafetensorsFile& file, const std::string& format, const ScorerShape& shape) {
  const ScorerReader reader(file);
  const std::string expected = join(shape.numbers, " "), found = reader.text(kScorerLayersKey);
  const bool of_some = format == kScorerFormatOfSomeLayers;
  if (of_some != file.metadata().contains(kScorerLayersKey) || (of_some && found.empty())) {
    reader.fail(concat("metadata 'format' is '", format, "' ", of_some ? "without" : "with", " '",
                       kScorerLayersKey, "': damaged; take another copy"));
  }
  if (found == expected) return;
  reader.fail(concat("a scorer of ", of_some ? concat("layers ", one_line(found)) : std::string("all layers"),
                     "; of this model ", expected.empty() ? "all layers" : concat("layers ", expected),
                     " evict: the scorer belongs to another model"));
}

void require_layers(const SafetensorsFile& file, const ScorerShape& shape, std::int64_t inputs) {
  const ScorerReader reader(file);
  const std::int64_t heads = shape.kv_heads;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const auto require = [&](const char* tensor, const std::vector<std::int64_t>& size) {
      reader.require_tensor(judge_tensor_name(shape.number(layer), tensor), size);
    };
    require("fc1.weight", {heads, inputs, kScorerHidden});
    require("fc1.bias", {heads, kScorerHidden});
    require("fc2.weight", {heads, kScorerHidden, 1});
    require("fc2.bias", {heads, 1});
  }
  if (shape.numbers.empty() && file.contains(judge_tensor_name(shape.layers, "fc1.weight"))) {
    reader.fail(
        concat("holds more than the model's ", shape.layers, " layers: the scorer belongs to another model"));
  }
}

}  // namespace

std::int64_t statistics_of(ScorerFeatures features, std::int64_t group) {
  return kStatisticsPerHead * group + (has_context(features) ? 3 * group + 3 : 0);
}

ScorerShape ScorerShape::of(const ModelShape& model) {
  const bool all = model.evicting_layers() == model.layers;
  return {.layers = model.evicting_layers(),
          .kv_heads = model.kv_heads,
          .head_dimension = model.head_dimension,
          .group = model.group(),
          .numbers = all ? std::vector<std::int64_t>() : model.evicting_layer_numbers()};
}

std::string judge_tensor_name(std::int64_t layer, const std::string& tensor) {
  return concat("model.layers.", layer, ".self_attn.judge_model.", tensor);
}

std::string scorer_digest(const std::map<std::string, TensorView>& tensors,
                          const std::map<std::string, std::string>& metadata) {
  std::string text;
  const auto add = [&](std::string_view part) { text.append(concat(part.size(), ":")).append(part); };
  for (const auto& [key, value] : metadata) {
    if (key == kScorerDigestKey) continue;
    add(key);
    add(value);
  }
  for (const auto& [name, tensor] : tensors) {
    add(name);
    add(dtype_name(tensor.dtype));
    add(join(tensor.shape, ","));
    add(sha256_hex({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()}));
  }
  return sha256_hex(text);
}

ScorerFile ScorerFile::open(const std::filesystem::path& path, const ScorerShape& shape) {
  ScorerFile scorer{SafetensorsFile(path), {}};
  const ScorerReader reader(scorer.file);
  const std::string format = reader.text("format");
  require_digest(scorer.file, format);
  scorer.released =
      format != kScorerFormat && format != kScorerFormatWithoutDigest && format != kScorerFormatOfSomeLayers;
  if (scorer.released) require_released(scorer.file, format);
  if (!scorer.released) require_same_layers(scorer.file, format, shape);
  scorer.facts.features = scorer.released ? ScorerFeatures::kReleased : reader.features();
  scorer.facts.budget = reader.count("budget");
  scorer.facts.window = reader.count("window");
  scorer.facts.protect_sinks = reader.count("protect_sinks");
  scorer.facts.protect_prompt = reader.flag("protect_prompt");
  scorer.facts.model_fingerprint = reader.text("model_fingerprint");
  scorer.facts.dtype = reader.text("dtype");
  scorer.facts.config = reader.text("config");
  const std::int64_t inputs = shape.inputs(scorer.facts.features);
  require_layers(scorer.file, shape, inputs);
  require_nothing_else(scorer.file, shape, scorer.released);
  scorer.has_normalisation = scorer.file.contains(kFeatureMean) || scorer.file.contains(kFeatureDeviation);
  if (!scorer.has_normalisation && scorer.facts.features != ScorerFeatures::kReleased) {
    reader.fail(concat("features '", to_string(scorer.facts.features), "' without '", kFeatureMean, "' and '",
                       kFeatureDeviation, "', by which they are standardised: damaged; take another copy"));
  }
  if (scorer.has_normalisation) {
    for (const char* name : {kFeatureMean, kFeatureDeviation})
      reader.require_tensor(name, {shape.layers, shape.kv_heads, inputs});
  }
  return scorer;
}

}  // namespace foresight
