// Values of the C++ scorer, cache, generation and golden plans, with which scripts/python is compared.
//
//   dump_scores view FOLDER normalized|serving|released SEED
//     random queries, keys and values through an EvictingCache under a random scorer; writes
//     scorer.safetensors (our format), released.safetensors (the authors' layout, released features only) and
//     view.safetensors
//   dump_scores generate MODEL SCORER BUDGET WINDOW NEW_TOKENS ID,ID,... ...
//     continues each prompt greedily in float32; prints the new token ids, one line per prompt
//   dump_scores evictions MODEL SCORER BUDGET WINDOW OUT ID,ID,...
//     reads the tokens in float32; for every layer the positions evicted, [steps, KV heads, window]
//     ascending, and how far the scores of the last entry that went and of the first that stayed are apart,
//     [steps, KV heads]
//   dump_scores golden ORACLE.h5 BUDGET WINDOW OUT
//     the golden plans' candidates, contributions and evicted positions of every layer
#include <torch/types.h>

#include <iostream>
#include <map>
#include <sstream>

#include "golden_eviction/recorded_plan.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/generation/generate.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/entry_scores.h"
#include "trainer/scorer/scorer.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {
namespace {

/// Named tensors, kept until they are written.
class TensorFile {
 public:
  void add(const std::string& name, const torch::Tensor& tensor) {
    tensors_.emplace_back(name, tensor.detach().clone().contiguous());
  }
  void write(const std::filesystem::path& path) const {
    std::vector<TensorToWrite> list;
    for (const auto& [name, tensor] : tensors_) list.push_back(tensor_to_write(name, tensor));
    write_safetensors(path, list, {});
  }

 private:
  std::vector<std::pair<std::string, torch::Tensor>> tensors_;
};

torch::Tensor normal(torch::IntArrayRef size, RandomStream& random, double deviation = 1.0) {
  torch::Tensor tensor = torch::empty(size);
  float* data = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) data[i] = static_cast<float>(deviation * random.normal());
  return tensor;
}

Scorer random_scorer(const ModelShape& shape, const ScorerFacts& facts, RandomStream& random) {
  Scorer scorer = Scorer::random(shape, facts, RandomStream(random.next_u64(), "scorer"));
  if (facts.features == ScorerFeatures::kReleased) return scorer;
  const std::int64_t inputs = scorer.shape().inputs(facts.features);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const torch::Tensor deviation = normal({shape.kv_heads, inputs}, random).abs() + 0.5;
    scorer.set_normalisation(layer, normal({shape.kv_heads, inputs}, random), deviation);
  }
  return scorer;
}

void dump_view(const std::filesystem::path& folder, ScorerFeatures features, std::uint64_t seed) {
  ModelShape shape;
  shape.layers = 2;
  shape.query_heads = 6;
  shape.kv_heads = 2;
  shape.head_dimension = 8;
  shape.rotated_dimensions = 6;
  ScorerFacts facts;
  facts.features = features;
  // A window of more than 32 queries, so that none of the partial sums is the whole sum.
  facts.budget = 80;
  facts.window = 40;
  facts.config = "output: größe\n";
  RandomStream random(seed, "dump");
  const Scorer scorer = random_scorer(shape, facts, random);
  scorer.save(folder / "scorer.safetensors");
  if (features == ScorerFeatures::kReleased) scorer.save_released(folder / "released.safetensors");

  TensorFile file;
  const std::int64_t rows = 2, layer = 1, length = 250;
  EvictingCache cache(
      shape, RowLayout{.traces = rows}, {facts.budget, facts.window}, kEndless,
      [&](const EvictionView& view) {
        const torch::Tensor inputs = candidate_features(view, features), scores = scorer.score(layer, inputs);
        const torch::Tensor evicted = scorer_selector(scorer)(view);
        if (view.layer != layer) return evicted;
        const std::string step = concat("step", view.step, ".");
        file.add(step + "keys", view.keys);
        file.add(step + "values", view.values);
        file.add(step + "positions", view.positions);
        file.add(step + "window_attention", attention_of_last(view, view.window));
        file.add(step + "window_sum", view.statistic(kernels::kSum));
        file.add(step + "cumulative", view.cumulative);
        file.add(step + "decayed", view.decayed);
        file.add(step + "frequencies", view.frequencies);
        file.add(step + "features", inputs);
        file.add(step + "scores", scores);
        file.add(step + "evicted", evicted);
        return evicted;
      },
      ModelOptions{});
  const torch::Tensor queries = normal({rows, shape.query_heads, length, shape.head_dimension}, random, 2.0);
  const torch::Tensor keys = normal({rows, shape.kv_heads, length, shape.head_dimension}, random);
  const torch::Tensor values = normal({rows, shape.kv_heads, length, shape.head_dimension}, random);
  for (std::int64_t first = 0; first < length;) {
    // Passes of changing length, as a prompt and single tokens would be.
    const std::int64_t count =
        std::min({cache.room(), length - first, static_cast<std::int64_t>(1 + random.below(60))});
    for (std::int64_t each = 0; each < shape.layers; ++each) {
      cache.attend(each, queries.narrow(2, first, count), keys.narrow(2, first, count),
                   values.narrow(2, first, count));
    }
    first += count;
  }
  file.add("queries", queries);
  file.add("keys", keys);
  file.add("values", values);
  file.write(folder / "view.safetensors");
}

std::vector<std::int32_t> token_ids(const std::string& text) {
  std::vector<std::int32_t> tokens;
  std::istringstream ids(text);
  for (std::string id; std::getline(ids, id, ',');) tokens.push_back(std::stoi(id));
  return tokens;
}

void dump_generation(const std::vector<std::string>& arguments) {
  const Transformer model =
      Transformer::load(arguments.at(0), resolve_model_options("cpu", "float32", "float32"));
  const Scorer scorer = Scorer::load(arguments.at(1), model.shape());
  const CacheSize size{std::stoll(arguments.at(2)), std::stoll(arguments.at(3)), scorer.facts().protect_sinks,
                       scorer.facts().protect_prompt};
  SamplingOptions sampling;
  sampling.temperature = 0;
  GenerationLimits limits;
  limits.max_new_tokens = std::stoll(arguments.at(4));
  for (std::size_t index = 5; index < arguments.size(); ++index) {
    const auto tokens = generate(model, token_ids(arguments[index]), scorer_selector(scorer), size, sampling,
                                 limits, RandomStream(1, "generation"), {});
    std::cout << join(tokens, " ") << std::endl;
  }
}

void dump_evictions(const std::vector<std::string>& arguments) {
  const Transformer model =
      Transformer::load(arguments.at(0), resolve_model_options("cpu", "float32", "float32"));
  const Scorer scorer = Scorer::load(arguments.at(1), model.shape());
  std::map<std::string, std::vector<torch::Tensor>> evictions;  // by the tensor's name, one element a step
  const EvictionSelector select = [&](const EvictionView& view) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor evicted = scorer_selector(scorer)(view);
    const torch::Tensor scores =
        std::get<0>(scorer.score(view.layer, candidate_features(view, scorer.facts().features))
                        .sort(/*dim=*/-1, /*descending=*/true));
    evictions[concat("layer", view.layer, ".positions")].push_back(
        std::get<0>(view.positions.gather(2, evicted)[0].sort(-1)));
    evictions[concat("layer", view.layer, ".margin")].push_back(
        (scores.select(2, view.window - 1) - scores.select(2, view.window))[0]);
    return evicted;
  };
  SamplingOptions sampling;
  sampling.temperature = 0;
  GenerationLimits limits;
  limits.max_new_tokens = 1;
  generate(model, token_ids(arguments.at(5)), select,
           {std::stoll(arguments.at(2)), std::stoll(arguments.at(3))}, sampling, limits,
           RandomStream(1, "generation"), {});
  TensorFile file;
  for (const auto& [name, steps] : evictions) file.add(name, torch::stack(steps));
  file.write(arguments.at(4));
}

void dump_golden(const std::filesystem::path& oracle, const CacheSize& size,
                 const std::filesystem::path& out) {
  const OracleReader reader(oracle);
  TensorFile file;
  for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) {
    const GoldenPlan plan = golden_plan_of(reader, layer, size);
    const std::string name = concat("layer", layer, ".");
    file.add(name + "candidates", plan.candidates.to(torch::kInt64));
    file.add(name + "contribution", plan.contribution);
    file.add(name + "evicted", plan.evicted.to(torch::kInt64));
  }
  file.write(out);
}

int run(const std::vector<std::string>& arguments) {
  const std::string mode = arguments.empty() ? "" : arguments.front();
  if (mode == "view" && arguments.size() == 4) {
    dump_view(arguments[1], enum_from_string<ScorerFeatures>(arguments[2]), std::stoull(arguments[3]));
  } else if (mode == "generate" && arguments.size() >= 7) {
    dump_generation({arguments.begin() + 1, arguments.end()});
  } else if (mode == "evictions" && arguments.size() == 7) {
    dump_evictions({arguments.begin() + 1, arguments.end()});
  } else if (mode == "golden" && arguments.size() == 5) {
    dump_golden(arguments[1], {std::stoll(arguments[2]), std::stoll(arguments[3])}, arguments[4]);
  } else {
    std::cerr << "dump_scores: see the head of tests/python/dump_scores.cpp for its arguments\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace foresight

int main(int count, char** values) {
  try {
    return foresight::run({values + 1, values + count});
  } catch (const std::exception& error) {
    std::cerr << "dump_scores: " << error.what() << '\n';
    return 1;
  }
}
