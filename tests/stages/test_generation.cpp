#include <torch/types.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/trace_rows.h"
#include "golden_eviction/oracle_stage.h"
#include "tests/stages/tiny.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/random.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/evaluation/policies.h"
#include "trainer/evaluation/tasks.h"
#include "trainer/generation/generate.h"
#include "trainer/generation/generate_rows.h"
#include "trainer/generation/sampling.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/model/tensor_io.h"
#include "trainer/report/report.h"
#include "trainer/text/tokenize_row.h"
#include "trainer/traces/recorded_trace.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE(
    "generate: a budget that holds everything gives full KV token for token, a small one stays in its budget",
    "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const std::vector<std::int32_t> prompt = workspace.tokenizer.encode("ann has 3 and gets 4, so");
  const auto run = [&](const std::optional<EvictionSelector>& select, const CacheSize& size,
                       const SamplingOptions& sampling) {
    return generate(workspace.model, prompt, select, size, sampling, {90, {256}}, RandomStream(3, "test"));
  };
  const std::vector<const RecordedTrace*> none;
  for (const SamplingOptions& sampling :
       {SamplingOptions{.temperature = 0}, SamplingOptions{.temperature = 1, .top_p = 0.9, .top_k = 50}}) {
    const auto full = run(std::nullopt, {}, sampling);
    CHECK(run(rule_policy("h2o", {}, 1).make(none), {160, 16}, sampling) == full);
    CHECK(run(std::nullopt, {}, sampling) == full);
    CHECK(run(rule_policy("streaming_llm", {}, 1).make(none), {32, 16}, sampling).size() == full.size());
  }
  REQUIRE_THROWS_WITH(generate(workspace.model, {}, std::nullopt, {}, {}, {8, {}}, RandomStream(3, "test")),
                      Catch::Contains("empty"));
  REQUIRE_THROWS_WITH(
      generate(workspace.model, prompt, std::nullopt, {}, {}, {5000, {}}, RandomStream(3, "test")),
      Catch::Contains("4096"));
}

TEST_CASE("sampling: logits that are not finite are a numeric error", "[stages]") {
  RandomStream random(1, "test");
  for (const float value : {NAN, INFINITY}) {
    try {
      sample_token(torch::full({5}, value), {}, random);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kNumeric);
      CHECK_THAT(error.what(), Catch::Contains("logits are not finite"));
    }
  }
}

TEST_CASE("generate: a row's text does not depend on the other rows", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const std::vector<std::vector<std::int32_t>> prompts = {
      workspace.tokenizer.encode("ann has"), workspace.tokenizer.encode("bob has 12 and gets 3, so")};
  const SamplingOptions sampling{.temperature = 1.0, .top_p = 1.0, .top_k = 0};
  const GenerationLimits limits{40, {256}};
  const auto together = generate_batch(workspace.model, prompts, sampling, limits,
                                       {RandomStream(1, "a"), RandomStream(1, "b")});
  const auto alone =
      generate(workspace.model, prompts[1], std::nullopt, {}, sampling, limits, RandomStream(1, "b"));
  CHECK(together[1] == alone);
}

TEST_CASE("generate: policies side by side give the texts of each alone", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const CacheSize size{32, 16};
  const std::vector<std::int32_t> prompt = workspace.tokenizer.encode("ann has 3 and gets 4, so");
  const GenerationLimits limits{90, {256}};
  const std::vector<SamplingOptions> samplings = {
      SamplingOptions{.temperature = 0}, SamplingOptions{.temperature = 1, .top_p = 0.9, .top_k = 50}};
  const auto stream = [](std::size_t row) { return RandomStream(row == 0 ? 5 : 6, "test"); };
  const std::vector<std::string> names = {"h2o", "streaming_llm"};
  std::vector<EvictionSelector> selectors;
  std::vector<SamplingOptions> all;
  std::vector<RandomStream> randoms;
  for (const std::string& name : names) {
    selectors.push_back(rule_policy(name, size, 1).make({}));
    for (std::size_t row = 0; row < 2; ++row) {
      all.push_back(samplings[row]);
      randoms.push_back(stream(row));
    }
  }
  const auto together =
      generate_rows(workspace.model, prompt, side_by_side(selectors), size, all, limits, randoms);
  REQUIRE(together.size() == 4);
  for (std::size_t p = 0; p < 2; ++p) {
    for (std::size_t row = 0; row < 2; ++row) {
      const auto alone = generate(workspace.model, prompt, rule_policy(names[p], size, 1).make({}), size,
                                  samplings[row], limits, stream(row));
      CHECK(together[p * 2 + row] == alone);
    }
  }
  const auto full =
      generate_rows(workspace.model, prompt, std::nullopt, size, samplings, limits, {stream(0), stream(1)});
  for (std::size_t row = 0; row < 2; ++row)
    CHECK(full[row] ==
          generate(workspace.model, prompt, std::nullopt, size, samplings[row], limits, stream(row)));
  CHECK(together[0] != full[0]);
}

TEST_CASE("tasks: a cache that holds everything solves and finds what full KV does", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const ChatTemplate chat = ChatTemplate::load(tiny.folder / "model");
  const auto problems = read_prompt_rows(tiny.folder / "model/prompts.jsonl");
  const ProblemOptions options{.samples = 2, .max_new_tokens = 60};
  const auto solve = [&](const CacheSize& size) {
    const TaskSetting setting{&workspace.model, &workspace.tokenizer, size, 1};
    return solve_problems(setting, {rule_policy("h2o", size, 1), rule_policy("random", size, 1)}, problems,
                          chat, options);
  };
  const auto large = solve({144, 16}), small = solve({32, 16});
  CHECK(large["h2o"] == large["full"]);
  CHECK(large["random"] == large["full"]);
  CHECK(small["full"] == large["full"]);
  CHECK(small["h2o"]["tokens_until_difference"].get<double>() <
        small["full"]["tokens_until_difference"].get<double>());
  const TaskSetting setting{&workspace.model, &workspace.tokenizer, {32, 16}, 1};
  const auto found = find_passkeys(setting, {rule_policy("h2o", {32, 16}, 1)}, 120, 1);
  CHECK(found["full"].size() == passkey_depths().size());
  CHECK(found["h2o"].size() == passkey_depths().size());
}

TEST_CASE(
    "tasks: a problem without an answer is named, a stop ends them, and evaluation.json holds the figures",
    "[stages]") {
  const Tiny tiny;
  const auto file = tiny.folder / "problems.jsonl";
  const Config config =
      tiny.config({"evaluation.tasks=[" + file.string() + "]", "evaluation.policies=[full,golden,h2o]",
                   "evaluation.detail=false", "generation.max_new_tokens=8", "evaluation.passkey_tokens=60",
                   "evaluation.passkey_keys=1", "evaluation.cost_contexts=[64]"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto evaluate = [&] { return run_evaluate(config, workspace.model, workspace.tokenizer, alone()); };
  write_file_atomically(file, R"({"prompt": "ann has 3"})");
  REQUIRE_THROWS_WITH(evaluate(), Catch::Contains("problems.jsonl:1") && Catch::Contains("answer"));
  write_file_atomically(file, R"({"question": "ann has 3 and gets 4", "answer": "3 + 4\n#### 7"})");
  request_stop();
  REQUIRE_THROWS_WITH(evaluate(), Catch::Contains("stopped"));
  clear_stop_request();
  CHECK_FALSE(std::filesystem::exists(tiny.run() / "evaluation.json"));
  const auto evaluation = evaluate();
  const auto& generation = evaluation.at("generation");
  CHECK(generation["problems"] == 1);
  CHECK(generation["policies"]["h2o"]["mean_tokens"].get<double>() <= 8.0);
  CHECK_FALSE(generation["policies"].contains("golden"));
  CHECK(generation["passkey"]["policies"]["full"].size() == 5);
  CHECK(evaluation["cost"]["policies"]["h2o"]["kv_bytes"].size() == 1);
  REQUIRE_NOTHROW(write_report(tiny.run()));
  REQUIRE_THROWS_WITH(
      generate_rows(workspace.model, {1, 2}, std::nullopt, {}, {SamplingOptions{}}, {8, {}}, {}),
      Catch::Contains("random streams"));
}

TEST_CASE("generate: greedy text of the real SmolLM2 equals transformers'", "[stages]") {
  if (!std::filesystem::exists(smollm2_folder())) {
    WARN("NOT RUN: no " << smollm2_folder() << " (scripts/setup.sh --model makes it)");
    return;
  }
  const SafetensorsFile fixture(reference_folder() / "llama/smollm2.safetensors");
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")), greedy = view_tensor(fixture.at("greedy"));
  const Transformer model = Transformer::load(smollm2_folder(), {});
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < 32; ++i)
    prompt.push_back(static_cast<std::int32_t>(tokens[i].item<std::int64_t>()));
  const SamplingOptions sampling{.temperature = 0};
  const auto text = generate(model, prompt, std::nullopt, {}, sampling, {48, {}}, RandomStream(1, "test"));
  const auto evicting = generate(model, prompt, rule_policy("h2o", {}, 1).make({}), {96, 32}, sampling,
                                 {48, {}}, RandomStream(1, "test"));
  CHECK(evicting == text);
  for (std::int64_t i = 0; i < 48; ++i)
    CHECK(text[static_cast<std::size_t>(i)] == greedy[i].item<std::int64_t>());
}

namespace {

/// The tiny model with rows of its vocabulary that no token has, each as likely as any.
void pad_vocabulary(const std::filesystem::path& model) {
  const SafetensorsFile file(model / "model.safetensors");
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, view] : file.tensors()) tensors[name] = view_tensor(view).clone();
  torch::Tensor& embedding = tensors.at("model.embed_tokens.weight");
  torch::manual_seed(3);
  embedding = torch::cat({embedding, 5 * torch::randn({63, embedding.size(1)})});
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  write_safetensors(model / "model.safetensors", list, {{"format", "pt"}});
  auto config = nlohmann::json::parse(read_file(model / "config.json"));
  config["vocab_size"] = 320;
  write_file_atomically(model / "config.json", config.dump());
}

}  // namespace

TEST_CASE("generate: ids that no token has are never sampled", "[stages]") {
  const Tiny tiny;
  pad_vocabulary(tiny.folder / "model");
  const Workspace workspace = open_workspace(tiny.config(), alone());
  REQUIRE(workspace.tokenizer.vocabulary_size() == 257);
  const std::vector<std::int32_t> prompt = workspace.tokenizer.encode("ann has");
  GenerationLimits limits = limits_of(workspace.model, workspace.tokenizer, 40);
  REQUIRE(limits.never.size() == 63);
  const auto largest = [&] {
    std::int32_t found = 0;
    for (const SamplingOptions& sampling :
         {SamplingOptions{.temperature = 0}, SamplingOptions{.temperature = 5, .top_p = 1, .top_k = 0}}) {
      const RandomStream random(3, "test");
      const std::vector<std::vector<std::int32_t>> texts = {
          generate(workspace.model, prompt, std::nullopt, {}, sampling, limits, random),
          generate_batch(workspace.model, {prompt}, sampling, limits, {random}).front(),
          generate_rows(workspace.model, prompt, std::nullopt, {}, {sampling}, limits, {random}).front()};
      for (const auto& text : texts) found = std::max(found, *std::max_element(text.begin(), text.end()));
    }
    return found;
  };
  CHECK(largest() < 257);
  limits.never.clear();
  CHECK(largest() >= 257);  // the model does sample them
}

TEST_CASE("traces: a row taken out leaves the finished batches of the others", "[stages]") {
  const Tiny tiny;
  const auto prompts = tiny.folder / "prompts.jsonl";
  const Config config =
      tiny.config({"traces.prompts=[" + prompts.string() + "]", "traces.max_new_tokens=8", "traces.batch=1"});
  const Workspace workspace = open_workspace(config, alone());
  const ChatTemplate chat = ChatTemplate::load(config.model.path);
  const auto batches = [&] {
    std::map<std::string, std::filesystem::file_time_type> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tiny.run() / "traces")) {
      if (entry.is_regular_file()) files[entry.path().string()] = entry.last_write_time();
    }
    return files;
  };
  write_file_atomically(prompts, "{\"prompt\": \"ann\"}\n{\"prompt\": \"bob\"}\n{\"prompt\": \"cat\"}\n");
  run_traces(config, workspace.model, workspace.tokenizer, chat, alone());
  const auto before = batches();
  REQUIRE(before.size() == 3);
  write_file_atomically(prompts, "{\"prompt\": \"ann\"}\n{\"prompt\": \"bob\"}\n{\"prompt\": \"dan\"}\n");
  run_traces(config, workspace.model, workspace.tokenizer, chat, alone());
  const auto after = batches();
  CHECK(after.size() == 4);  // one more; the other three are unchanged
  for (const auto& [file, time] : before) CHECK(after.at(file) == time);
  CHECK(read_trace_rows(traces_file(config)).at(2).prompt == "dan");
}

TEST_CASE("traces: a row keeps the columns of its prompt, and training uses the sampled tokens", "[stages]") {
  const Tiny tiny;
  const auto prompts = tiny.folder / "prompts.jsonl";
  const Config config = tiny.config({"traces.prompts=[" + prompts.string() + "]", "traces.max_new_tokens=48",
                                     "traces.temperature=3", "traces.top_p=1", "traces.top_k=0"});
  write_file_atomically(prompts,
                        R"({"prompt": "hi", "id": 7, "level": "hard", "answer": 5, "source": "mine", )"
                        R"("completion": "reference", "extra_info": {"b": 1, "a": null}})"
                        "\n"
                        R"({"prompt": "ann has"})");
  const Workspace workspace = open_workspace(config, alone());
  run_traces(config, workspace.model, workspace.tokenizer, ChatTemplate::load(config.model.path), alone());
  std::istringstream lines(read_file(traces_file(config)));
  std::string line;
  std::getline(lines, line);
  const auto row = nlohmann::ordered_json::parse(line);
  CHECK(row.at("id") == 7);
  CHECK(row.at("level") == "hard");
  CHECK(row.at("answer") == "5");
  CHECK(row.at("source") == "mine");
  CHECK(row.at("prompt_source") == "prompts.jsonl:1");
  CHECK(row.at("given").dump() == R"({"completion":"reference"})");
  CHECK(row.at("extra_info").dump() == R"({"b":1,"a":null})");
  std::getline(lines, line);
  const auto plain = nlohmann::json::parse(line);
  CHECK(plain.at("source") == "prompts.jsonl:2");
  CHECK_FALSE(plain.contains("given"));
  // Bytes sampled at random are not UTF-8, so that the row's text would have other tokens.
  const auto rows = read_trace_rows(traces_file(config));
  const TokenRow read = tokenize_row(workspace.tokenizer, rows.at(1));
  CHECK(read.tokens == plain.at("tokens").get<std::vector<std::int32_t>>());
  CHECK(read.tokens != workspace.tokenizer.encode(rows[1].prompt + rows[1].completion));
  CHECK(std::count(read.completion.begin(), read.completion.end(), 0) == plain.at("prompt_tokens"));
}

TEST_CASE("traces: prompts become rows that can be trained on, and finished batches are kept", "[stages]") {
  const Tiny tiny;
  const Config config =
      tiny.config({"traces.prompts=[" + (tiny.folder / "model/prompts.jsonl").string() + "]",
                   "traces.max_new_tokens=24", "traces.batch=2", "traces.samples_per_prompt=2"});
  const Workspace workspace = open_workspace(config, alone());
  const ChatTemplate chat = ChatTemplate::load(config.model.path);
  run_traces(config, workspace.model, workspace.tokenizer, chat, alone());
  const std::string text = read_file(traces_file(config));
  const auto rows = read_trace_rows(traces_file(config));
  REQUIRE(rows.size() == 6);
  CHECK(rows[0].prompt == "ann has 3 and gets 4, so");
  std::filesystem::remove(traces_file(config));
  request_stop();
  REQUIRE_THROWS_AS(run_traces(config, workspace.model, workspace.tokenizer, chat, alone()), Error);
  clear_stop_request();
  run_traces(config, workspace.model, workspace.tokenizer, chat, alone());
  CHECK(read_file(traces_file(config)) == text);
  CHECK(has_generated(config, workspace.model, workspace.tokenizer, chat));
  Config hotter = config;
  hotter.traces.temperature += 0.1;
  CHECK_FALSE(has_generated(hotter, workspace.model, workspace.tokenizer, chat));
}
