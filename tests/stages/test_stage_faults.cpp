// What a user or a stop signal can do to a stage.
#include <torch/types.h>

#include "golden_eviction/oracle_stage.h"
#include "golden_eviction/trace_splits.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/stop_signal.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/model/tensor_io.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Message of the Error of this kind that `action` throws.
template <class Action>
std::string fault(ErrorKind kind, Action action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("nothing was thrown");
  return "";
}

/// A copy of a scorer file with every first-layer weight replaced by `value`.
void fill_first_weights(const std::filesystem::path& from, const std::filesystem::path& to, float value) {
  const SafetensorsFile file(from);
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, view] : file.tensors()) {
    tensors[name] = view_tensor(view).clone();
    if (name.find("fc2.weight") != std::string::npos) tensors[name].fill_(value);
  }
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  auto metadata = file.metadata();  // as a file of a version without digests, which would reveal the change
  metadata["format"] = "foresight.scorer.1";
  metadata.erase("content_sha256");
  write_safetensors(to, list, metadata);
}

}  // namespace

TEST_CASE("stages: a stop before the first trace is an interruption that says what is kept", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  request_stop();
  CHECK_THAT(fault(ErrorKind::kInterrupted,
                   [&] { run_oracle(config, workspace.model, workspace.tokenizer, alone()); }),
             Catch::Contains("oracle: stopped; finished traces are kept"));
  clear_stop_request();
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  request_stop();
  CHECK_THAT(fault(ErrorKind::kInterrupted,
                   [&] { run_supervised(config, workspace.model, workspace.tokenizer, alone()); }),
             Catch::Contains("supervised: stopped; replayed traces are kept"));
  CHECK_THAT(
      fault(ErrorKind::kInterrupted,
            [&] { command_generate(tiny.config({"generation.policy=full"}), "a b c", PromptKind::kRaw); }),
      Catch::Contains("generation: stopped"));
}

TEST_CASE("stages: a golden policy cannot generate, and traces need prompts", "[stages]") {
  const Tiny tiny;
  CHECK_THAT(
      fault(ErrorKind::kConfig,
            [&] { command_generate(tiny.config({"generation.policy=golden"}), "a b c", PromptKind::kRaw); }),
      Catch::Contains("golden needs the future attention of a finished trace"));
  CHECK_THAT(fault(ErrorKind::kConfig, [&] { command_stage(tiny.config(), Stage::kTraces, alone()); }),
             Catch::Contains("traces.prompts: no prompts"));
}

TEST_CASE("traces: evaluation rows too short for one trace, and ids beyond the model, are refused",
          "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  write_file_atomically(tiny.folder / "short.jsonl", "{\"text\": \"too short for a trace\"}\n");
  CHECK_THAT(fault(ErrorKind::kInput,
                   [&] {
                     make_trace_splits(
                         tiny.config({"data.evaluation=[" + (tiny.folder / "short.jsonl").string() + "]"}),
                         workspace.tokenizer, workspace.model.shape());
                   }),
             Catch::Contains("data.evaluation gives no trace of 160 tokens"));
  ModelShape smaller = workspace.model.shape();
  smaller.vocabulary_size = 5;
  CHECK_THAT(
      fault(ErrorKind::kInput, [&] { make_trace_splits(tiny.config(), workspace.tokenizer, smaller); }),
      Catch::Contains("but the model has 5 rows"));
  ModelShape shorter = workspace.model.shape();
  shorter.max_positions = 100;
  CHECK_THAT(
      fault(ErrorKind::kInput, [&] { make_trace_splits(tiny.config(), workspace.tokenizer, shorter); }),
      Catch::Contains("a train trace of 160 tokens, but the model has 100 positions") &&
          Catch::Contains("data.trace_tokens"));
}

TEST_CASE("supervised: an initial scorer of other features, or one that overflows, is refused by name",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const auto scorer = command_export(config, "supervised", "", ExportLayout::kForesight);
  const auto from = [&](const std::filesystem::path& file, const std::string& features) {
    const Config again = tiny.config(
        {"scorer.initial=" + file.string(), "scorer.features=" + features, "supervised.resume=never"});
    run_supervised(again, workspace.model, workspace.tokenizer, alone());
  };
  CHECK_THAT(fault(ErrorKind::kConfig, [&] { from(scorer, "released"); }),
             Catch::Contains("trained on other features"));
  fill_first_weights(scorer, tiny.folder / "huge.safetensors", 3e38F);
  CHECK_THAT(fault(ErrorKind::kNumeric, [&] { from(tiny.folder / "huge.safetensors", "normalized"); }),
             Catch::Contains("supervised: step 1, trace train-") && Catch::Contains("a score of layer 0") &&
                 Catch::Contains("lower supervised.learning_rate"));
  fill_first_weights(scorer, tiny.folder / "nan.safetensors", NAN);
  CHECK_THAT(
      fault(ErrorKind::kInput, [&] { from(tiny.folder / "nan.safetensors", "normalized"); }),
      Catch::Contains("nan.safetensors") && Catch::Contains("fc2.weight") && Catch::Contains("NaN or Inf"));
}
