#include "trainer/model_files/scorer_file.h"

#include <map>
#include <vector>

#include "tests/model_files/support.h"

namespace foresight {
namespace {

using Catch::Contains;
using Metadata = std::map<std::string, std::string>;

// One KV head of two query heads, d = 2: 2 * 2 + 8 * 2 = 20 features.
const ScorerShape kShape = [] {
  ModelShape model;
  model.layers = 1;
  model.query_heads = 2;
  model.kv_heads = 1;
  model.head_dimension = 2;
  return ScorerShape::of(model);
}();
const Metadata kFacts = {{"format", kScorerFormat}, {"features", "normalized"},   {"budget", "128"},
                         {"window", "32"},          {"model_fingerprint", "abc"}, {"dtype", "float32"},
                         {"config", "output: a\n"}};

/// The tensors of a scorer for kShape, by their sizes.
std::map<std::string, std::vector<std::int64_t>> sizes() {
  return {{judge_tensor_name(0, "fc1.weight"), {1, 20, 16}},
          {judge_tensor_name(0, "fc1.bias"), {1, 16}},
          {judge_tensor_name(0, "fc2.weight"), {1, 16, 1}},
          {judge_tensor_name(0, "fc2.bias"), {1, 1}},
          {"feature_mean", {1, 1, 20}},
          {"feature_deviation", {1, 1, 20}}};
}

/// A scorer file; with the digest that fits where it is of a format that has one.
std::filesystem::path write_scorer(const TemporaryFolder& folder, Metadata metadata,
                                   const std::map<std::string, std::vector<std::int64_t>>& tensors,
                                   Dtype dtype = Dtype::kFloat32) {
  const std::vector<std::byte> zeros(8 * 20 * 16 * 16);
  std::vector<TensorToWrite> list;
  std::map<std::string, TensorView> views;
  for (const auto& [name, shape] : tensors) {
    std::size_t bytes = dtype_bytes(dtype);
    for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
    list.push_back({name, dtype, shape, std::span(zeros).first(bytes)});
    views[name] = {dtype, shape, list.back().bytes};
  }
  const auto format = metadata.find("format");
  const bool has_digest = format != metadata.end() &&
                          (format->second == kScorerFormat || format->second == kScorerFormatOfSomeLayers);
  if (has_digest && !metadata.contains(kScorerDigestKey)) {
    metadata[kScorerDigestKey] = scorer_digest(views, metadata);
  }
  write_safetensors(folder / "scorer.safetensors", list, metadata);
  return folder / "scorer.safetensors";
}

std::string fault_of(const Metadata& metadata,
                     const std::map<std::string, std::vector<std::int64_t>>& tensors,
                     Dtype dtype = Dtype::kFloat32) {
  const TemporaryFolder folder;
  const auto path = write_scorer(folder, metadata, tensors, dtype);
  const std::string message = error_of(ErrorKind::kInput, [&] { ScorerFile::open(path, kShape); });
  CHECK_THAT(message, Contains("scorer.safetensors"));
  return message;
}

std::string fault_with(const std::string& key, const std::string& value) {
  Metadata metadata = kFacts;
  metadata[key] = value;
  return fault_of(metadata, sizes());
}

TEST_CASE("scorer file: our own tells what it was made for") {
  const TemporaryFolder folder;
  const ScorerFile scorer = ScorerFile::open(write_scorer(folder, kFacts, sizes()), kShape);
  CHECK_FALSE(scorer.released);
  CHECK(scorer.has_normalisation);
  CHECK(scorer.facts.features == ScorerFeatures::kNormalized);
  CHECK(scorer.facts.budget == 128);
  CHECK(scorer.facts.window == 32);
  CHECK(scorer.facts.model_fingerprint == "abc");
  CHECK(scorer.facts.dtype == "float32");
  CHECK(scorer.facts.config == "output: a\n");
}

TEST_CASE("scorer file: one with standardised features holds what they are standardised by") {
  auto without = sizes();
  without.erase("feature_mean");
  without.erase("feature_deviation");
  CHECK_THAT(fault_of(kFacts, without), Contains("features 'normalized' without 'feature_mean'"));
  without["feature_mean"] = {1, 1, 20};
  CHECK_THAT(fault_of(kFacts, without), Contains("feature_deviation"));
}

/// The tensors that the authors' code saves.
std::map<std::string, std::vector<std::int64_t>> released_sizes() {
  auto tensors = sizes();
  tensors.erase("feature_mean");
  tensors.erase("feature_deviation");
  tensors["model.layers.0.self_attn.judge_model.feature_norm.weight"] = {20};
  return tensors;
}

TEST_CASE("scorer file: the released layout, with metadata pt or none, has released features") {
  const TemporaryFolder folder;
  const Metadata metadata =
      GENERATE(Metadata{}, Metadata{{"format", "pt"}}, Metadata{{"features", "released"}});
  const ScorerFile scorer =
      ScorerFile::open(write_scorer(folder, metadata, released_sizes(), Dtype::kBfloat16), kShape);
  CHECK(scorer.released);
  CHECK_FALSE(scorer.has_normalisation);
  CHECK(scorer.facts.features == ScorerFeatures::kReleased);
  CHECK(scorer.facts.budget == 0);
}

TEST_CASE("scorer file: one of ours that lost its metadata is not taken for a released one") {
  // As safetensors' save_file() writes it: no metadata, or format pt.
  for (const Metadata& metadata : {Metadata{}, Metadata{{"format", "pt"}}}) {
    for (const char* lost : {"", "feature_mean", "feature_deviation"}) {
      auto tensors = sizes();
      tensors.erase(lost);
      CHECK_THAT(fault_of(metadata, tensors), Contains("saved again without its metadata") &&
                                                  Contains("metadata (format foresight.scorer.2"));
    }
  }
  Metadata facts = kFacts;
  facts.erase("format");
  CHECK_THAT(fault_of(facts, released_sizes()), Contains("metadata 'features' is 'normalized'"));
}

TEST_CASE("scorer file: a format that is not known, and tensors of something else, are refused") {
  for (const char* format : {"foresight.scorer.4", "foresight.plan.1", "np", ""}) {
    CHECK_THAT(fault_of({{"format", format}}, released_sizes()),
               Contains(concat("metadata 'format' is '", format, "', expected foresight.scorer.2")));
  }
  auto more = released_sizes();
  more["model.layers.0.self_attn.q_proj.weight"] = {4, 4};
  CHECK_THAT(fault_of({}, more),
             Contains("'model.layers.0.self_attn.q_proj.weight' is not part of a scorer") &&
                 Contains("foresight_kv.import_released"));
  auto ours = sizes();
  ours["feature_norm"] = {20};
  CHECK_THAT(fault_of(kFacts, ours), Contains("'feature_norm' is not part of a scorer"));
}

TEST_CASE("scorer file: content that its digest does not fit is refused") {
  CHECK_THAT(fault_with(kScorerDigestKey, "a\nb"), Contains("expected content of SHA-256 a\\nb, found "));
  Metadata before = kFacts;
  before["format"] = kScorerFormatWithoutDigest;
  const TemporaryFolder folder;
  CHECK_FALSE(ScorerFile::open(write_scorer(folder, before, sizes()), kShape).released);
}

TEST_CASE("scorer file: facts that are no numbers or no known words are refused by key") {
  for (const char* value : {"", "12x", " 12", "-1", "1.5", "9223372036854775808"}) {
    CHECK_THAT(fault_with("budget", value), Contains("metadata 'budget': expected an integer of at least 0"));
  }
  CHECK_THAT(fault_with("window", "a\nb"), Contains("metadata 'window'") && Contains("got 'a\\nb'"));
  CHECK_THAT(fault_with("protect_sinks", "few"), Contains("metadata 'protect_sinks'"));
  CHECK_THAT(fault_with("protect_prompt", "1"), Contains("expected true or false, got '1'"));
  CHECK_THAT(fault_with("features", "raw"),
             Contains("expected normalized, extended, relative, serving, released, got 'raw'"));
}

TEST_CASE("scorer file: what training protected is read, and nothing where an older file does not say") {
  const TemporaryFolder folder;
  Metadata facts = kFacts;
  CHECK(ScorerFile::open(write_scorer(folder, facts, sizes()), kShape).facts.protect_sinks == 0);
  CHECK_FALSE(ScorerFile::open(write_scorer(folder, facts, sizes()), kShape).facts.protect_prompt);
  facts["protect_sinks"] = "4";
  facts["protect_prompt"] = "true";
  const ScorerFile scorer = ScorerFile::open(write_scorer(folder, facts, sizes()), kShape);
  CHECK(scorer.facts.protect_sinks == 4);
  CHECK(scorer.facts.protect_prompt);
}

TEST_CASE("scorer file: tensors that do not fit the model are refused by name") {
  for (const auto& [name, size] : sizes()) {
    auto tensors = sizes();
    tensors.erase(name);
    CHECK_THAT(fault_of(kFacts, tensors), Contains(name));
    tensors[name] = {16, 1};
    CHECK_THAT(fault_of(kFacts, tensors),
               Contains(name) && Contains("has shape [16, 1], this model needs ["));
  }
  auto more = sizes();
  more[judge_tensor_name(1, "fc1.weight")] = {1, 20, 16};
  CHECK_THAT(fault_of(kFacts, more), Contains("holds more than the model's 1 layers"));
  CHECK_THAT(fault_of(kFacts, sizes(), Dtype::kInt32), Contains("is I32, expected floating point"));
}

TEST_CASE("scorer file: of a model some of whose layers do not evict, it says of which layers it is") {
  ModelShape model;
  model.layers = 4;
  model.query_heads = 2;
  model.kv_heads = 1;
  model.head_dimension = 2;
  model.kinds.resize(4);
  for (const std::size_t layer : {0, 1, 3}) model.kinds[layer].attention = AttentionKind::kSliding;
  const ScorerShape shape = ScorerShape::of(model);
  CHECK((shape.layers == 1 && shape.number(0) == 2));
  std::map<std::string, std::vector<std::int64_t>> tensors;
  for (const auto& [name, size] : sizes()) {
    const bool of_layer = name.find("layers.0.") != std::string::npos;
    tensors[of_layer ? judge_tensor_name(2, name.substr(name.find("fc"))) : name] = size;
  }
  Metadata facts = kFacts;
  facts["format"] = kScorerFormatOfSomeLayers;
  facts[kScorerLayersKey] = "2";
  const TemporaryFolder folder;
  const ScorerFile scorer = ScorerFile::open(write_scorer(folder, facts, tensors), shape);
  CHECK((!scorer.released && scorer.has_normalisation && scorer.facts.budget == 128));
  const auto fault = [&](const Metadata& metadata, const ScorerShape& wanted) {
    return error_of(ErrorKind::kInput,
                    [&] { ScorerFile::open(write_scorer(folder, metadata, tensors), wanted); });
  };
  CHECK_THAT(fault(facts, kShape), Contains("a scorer of layers 2; of this model all layers evict"));
  Metadata other = facts;
  other[kScorerLayersKey] = "3";
  CHECK_THAT(fault(other, shape), Contains("a scorer of layers 3; of this model layers 2 evict"));
  CHECK_THAT(fault(kFacts, shape), Contains("a scorer of all layers; of this model layers 2 evict"));
  other.erase(kScorerLayersKey);
  CHECK_THAT(fault(other, shape), Contains("'foresight.scorer.3' without 'evicting_layers': damaged"));
  other = kFacts;
  other[kScorerLayersKey] = "2";
  CHECK_THAT(fault(other, shape), Contains("'foresight.scorer.2' with 'evicting_layers': damaged"));
  other = facts;
  other[kScorerDigestKey] = "0";
  CHECK_THAT(fault(other, shape), Contains("damaged: expected content of SHA-256"));
}

}  // namespace
}  // namespace foresight
