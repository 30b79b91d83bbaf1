// The whole pipeline on a model one of whose layers is a mixture of experts.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "tests/stages/change_model_config.h"
#include "tests/stages/change_model_tensors.h"
#include "tests/stages/tiny.h"
#include "tests/training/newest_checkpoint.h"
#include "trainer/app/commands.h"
#include "trainer/app/stage_memory.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/stop_signal.h"
#include "trainer/training/checkpoint_folder.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Makes a Qwen3-MoE of the tiny Llama: layer 1 gets 4 experts of half its width, of which a token takes 2.
void make_mixture(const std::filesystem::path& folder) {
  torch::manual_seed(7);
  const nlohmann::json changes = {{"architectures", {"Qwen3MoeForCausalLM"}},
                                  {"model_type", "qwen3_moe"},
                                  {"num_experts", 4},
                                  {"num_experts_per_tok", 2},
                                  {"moe_intermediate_size", 64},
                                  {"norm_topk_prob", true},
                                  {"decoder_sparse_step", 2}};
  change_model_config(folder, changes);
  change_model_tensors(folder, [](auto& tensors) {
    const std::string mixture = "model.layers.1.mlp.";
    for (const char* name : {"gate_proj.weight", "up_proj.weight", "down_proj.weight"})
      tensors.erase(mixture + name);
    tensors[mixture + "gate.weight"] = torch::randn({4, 64});
    tensors[mixture + "experts.gate_up_proj"] = torch::randn({4, 128, 64}) / 8;
    tensors[mixture + "experts.down_proj"] = torch::randn({4, 64, 64}) / 8;
    for (const char* layer : {"0", "1"}) {
      for (const char* norm : {"q_norm", "k_norm"})
        tensors[std::string("model.layers.") + layer + ".self_attn." + norm + ".weight"] = torch::ones({16});
    }
  });
}

}  // namespace

TEST_CASE("mixture of experts: the whole pipeline runs, and training resumes where it was stopped",
          "[stages]") {
  const Tiny tiny;
  make_mixture(tiny.folder / "model");
  const Config config = tiny.config(
      {"evaluation.policies=[full, golden, supervised, grpo, random]", "supervised.features=stream"});
  command_run(config, alone());
  const nlohmann::json evaluation = nlohmann::json::parse(read_file(tiny.run() / "evaluation.json"));
  const auto rise = [&](const char* policy) {
    return evaluation.at("policies").at(policy).at("loss_rise").get<double>();
  };
  CHECK(rise("full") == 0.0);
  CHECK(rise("golden") < rise("random"));

  const auto whole = tiny.folder / "whole";
  std::filesystem::rename(tiny.run(), whole);  // the same output path again, because files contain it
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  for (const auto stage : {&run_supervised, &run_grpo}) {
    for (bool stopped = true; stopped;) {
      request_stop();
      try {
        stage(config, workspace.model, workspace.tokenizer, alone());
        stopped = false;
      } catch (const Error& error) {
        REQUIRE(error.kind() == ErrorKind::kInterrupted);
      }
      clear_stop_request();
    }
  }
  for (const char* stage : {"supervised", "grpo"}) {
    INFO(stage);
    const auto once = newest_checkpoint(whole / stage / "checkpoints"),
               often = newest_checkpoint(tiny.run() / stage / "checkpoints");
    REQUIRE((once && often));
    CHECK(once->filename() == often->filename());
    CHECK(sha256_file_hex(*once / "scorer.safetensors") == sha256_file_hex(*often / "scorer.safetensors"));
  }
}

TEST_CASE("mixture of experts: the memory estimate counts all experts", "[stages]") {
  const Tiny tiny;
  make_mixture(tiny.folder / "model");
  const Config config = tiny.config();
  const ModelShape shape = read_model_shape(config.model.path);
  const SafetensorsFile file(std::filesystem::path(config.model.path) / "model.safetensors");
  double bytes = 0;
  for (const auto& [name, view] : file.tensors()) {
    if (name.find("norm") == std::string::npos) bytes += static_cast<double>(view.bytes.size());
  }
  const ModelOptions options;  // float32, as the file, so that the tied head is no second copy
  for (const MemoryItem& item : model_memory({&config, &shape, options, 0, 0, 1})) {
    if (item.what == "weights") CHECK(item.bytes == bytes);
  }
}
