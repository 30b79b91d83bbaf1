#include <nlohmann/json.hpp>

#include "data/inspect.h"
#include "trainer/app/commands.h"
#include "trainer/app/workspace.h"
#include "trainer/base/child_reader.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/config/run_layout.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/evaluation/policies.h"
#include "trainer/generation/generate.h"
#include "trainer/text/chat_template.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// The policy of a scorer's file. Warns when the scorer was made for another model, budget or window.
Policy policy_of_file(const std::string& name, const std::filesystem::path& file, const CacheSize& size,
                      const Transformer& model) {
  const Scorer scorer = Scorer::load(file, model.shape());
  warn_if_made_for_other("policy " + name, scorer.facts(), size, model.fingerprint());
  return scorer_policy(name, scorer);
}

}  // namespace

std::filesystem::path command_export(const Config& config, const std::string& policy,
                                     const std::filesystem::path& output, ExportLayout layout) {
  const std::filesystem::path file = scorer_file_of_policy(config, policy);
  if (file.empty()) {
    throw Error(ErrorKind::kConfig,
                concat("export: '", policy, "' is not a scorer (supervised, grpo, or a .safetensors file)"));
  }
  const Scorer scorer = Scorer::load(file, read_model_shape(config.model.path));
  std::filesystem::path target = output;
  if (target.empty()) {
    const std::string name = policy.ends_with(".safetensors") ? "imported" : policy;
    target = RunFolder{config.output}.exports() /
             (layout == ExportLayout::kReleased ? name + ".released.safetensors" : name + ".safetensors");
  }
  std::error_code error;
  if (std::filesystem::equivalent(file, target, error)) {
    throw Error(ErrorKind::kConfig, concat("export: ", target.string(),
                                           " is the file that is read; name another one with --out"));
  }
  if (layout == ExportLayout::kReleased) {
    scorer.save_released(target);
  } else {
    scorer.save(target);
  }
  log_info(concat("export: ", file.string(), " -> ", target.string()));
  return target;
}

void command_generate(const Config& config, const std::string& prompt, PromptKind kind) {
  const Workspace workspace = open_workspace(config, alone());
  const Tokenizer& tokenizer = workspace.tokenizer;
  const CacheSize& size = config.eviction;
  const std::string& name = config.generation.policy;
  std::optional<EvictionSelector> select;
  if (name != "full") {
    const std::filesystem::path file = scorer_file_of_policy(config, name);
    RecordedTrace unnamed;
    unnamed.id = "generation";
    const Policy policy = file.empty() ? rule_policy(name, size, config.runtime.seed)
                                       : policy_of_file(name, file, size, workspace.model);
    select = policy.make({&unnamed});
  }
  require_utf8(prompt, "the prompt");
  std::string text = prompt;
  if (kind == PromptKind::kChat)
    text = ChatTemplate::load(config.model.path, config.model.template_date).render({{"user", prompt}});
  const std::vector<std::int32_t> tokens = encode_prompt(tokenizer, text);
  const SamplingOptions sampling{config.generation.temperature, config.generation.top_p,
                                 config.generation.top_k};
  const GenerationLimits limits = limits_of(workspace.model, tokenizer, config.generation.max_new_tokens);
  StreamingDecoder decoder(tokenizer);
  generate(workspace.model, tokens, select, size, sampling, limits,
           RandomStream(static_cast<std::uint64_t>(config.runtime.seed), "generation"),
           [&](std::int32_t token) {
             const bool end = std::find(limits.end_tokens.begin(), limits.end_tokens.end(), token) !=
                              limits.end_tokens.end();
             if (!end) print(decoder.push(token));
           });
  print(decoder.finish() + "\n");
  if (stop_requested()) throw Error(ErrorKind::kInterrupted, "generation: stopped");
}

namespace {

/// A file that was changed and given a fitting checksum can crash libhdf5, so libhdf5 reads it in a process
/// of its own. A compressed file may be many times as large in memory.
std::string oracle_description(const std::filesystem::path& path) {
  std::error_code none;
  const std::uintmax_t found = std::filesystem::file_size(path, none);
  const std::uint64_t bytes = none ? 0 : found;
  const ReaderLimits limits{.processor_seconds = 60 + (bytes >> 23),
                            .memory_bytes = (std::uint64_t{1} << 30) + 16 * bytes};
  return read_in_child(path, limits, [&] { return describe_oracle_file(path).dump(2); });
}

/// A model's shape, as its config.json says.
nlohmann::ordered_json model_description(const std::filesystem::path& folder) {
  const ModelShape shape = read_model_shape(folder);
  nlohmann::ordered_json description = {{"kind", "model"},
                                        {"path", folder.string()},
                                        {"architecture", shape.architecture},
                                        {"layers", shape.layers},
                                        {"evicting_layers", shape.evicting_layer_numbers()},
                                        {"expert_layers", shape.expert_layers()},
                                        {"query_heads", shape.query_heads},
                                        {"kv_heads", shape.kv_heads},
                                        {"head_dimension", shape.head_dimension},
                                        {"vocabulary_size", shape.vocabulary_size},
                                        {"max_positions", shape.max_positions}};
  if (shape.sliding_window > 0) description["sliding_window"] = shape.sliding_window;
  return description;
}

}  // namespace

void command_inspect(const std::filesystem::path& path) {
  nlohmann::ordered_json description;
  if (std::filesystem::is_directory(path) && std::filesystem::exists(path / "config.json")) {
    description = model_description(path);
  } else if (std::filesystem::is_directory(path)) {
    description = {{"kind", "checkpoint"}, {"path", path.string()}, {"facts", read_manifest(path)}};
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".safetensors") {
        description["files"][entry.path().filename().string()] = describe_safetensors(entry.path());
      }
    }
  } else if (path.extension() == ".safetensors") {
    description = describe_safetensors(path);
  } else {
    return print(oracle_description(path) + "\n");
  }
  print(description.dump(2) + "\n");
}

}  // namespace foresight
