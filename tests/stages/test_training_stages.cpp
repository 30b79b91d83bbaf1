// Both training stages: stopped and resumed, adopted, refused, and over several budgets.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "tests/stages/timeless_metrics.h"
#include "tests/stages/tiny.h"
#include "tests/traces/load_recorded.h"
#include "tests/training/newest_checkpoint.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/manifest.h"
#include "trainer/base/stop_signal.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/streamed_states.h"
#include "trainer/traces/recorded_trace.h"
#include "trainer/training/run_folder.h"
#include "trainer/training/training_session.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Calls the stage again and again, stopping it after every step, until it ends by itself. Returns the number
/// of stops.
template <class Stage>
int run_with_stops(Stage stage) {
  for (int stops = 0;; ++stops) {
    REQUIRE(stops < 100);
    request_stop();
    try {
      stage();
      clear_stop_request();
      return stops;
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::kInterrupted);
    }
    clear_stop_request();
  }
}

}  // namespace

TEST_CASE("training: stopped after every step and resumed, both stages give the bytes of an undisturbed run",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  run_grpo(config, workspace.model, workspace.tokenizer, alone());
  const auto whole = tiny.folder / "whole";
  std::filesystem::rename(tiny.run(), whole);  // the same output path again: it stands in the files

  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  // A replay is not a training step: it is finished first, then training is stopped after every step.
  const auto traces = load_recorded_traces(tiny.run() / "oracle", "train", config.data.max_train_traces,
                                           workspace.model.fingerprint(), workspace.tokenizer.fingerprint());
  const std::vector<CacheSize> sizes(traces.size(), config.eviction);
  const auto replay_under = [&](const Behaviour& behaviour) {
    CachedStates(
        tiny.run() / "supervised/features", workspace.model, traces, sizes, ScorerFeatures::kNormalized,
        behaviour,
        StreamedStates(workspace.model, traces, sizes, ScorerFeatures::kNormalized, behaviour).evictions(),
        alone());
  };
  replay_under(golden_behaviour());
  CHECK(run_with_stops([&] {
          const auto newest = newest_checkpoint(tiny.run() / "supervised/checkpoints");
          if (newest && newest->filename() == "step-000003") {  // the round on own states begins
            const Scorer began = Scorer::load(*newest / "scorer.safetensors", workspace.model.shape());
            clear_stop_request();
            replay_under(scorer_behaviour(began));
            request_stop();
          }
          run_supervised(config, workspace.model, workspace.tokenizer, alone());
        }) == 5);
  CHECK(run_with_stops([&] { run_grpo(config, workspace.model, workspace.tokenizer, alone()); }) == 2);
  for (const char* stage : {"supervised", "grpo"}) {
    INFO(stage);
    const auto one = newest_checkpoint(whole / stage / "checkpoints"),
               two = newest_checkpoint(tiny.run() / stage / "checkpoints");
    REQUIRE((one && two));
    const SafetensorsFile a(*one / "scorer.safetensors"), b(*two / "scorer.safetensors");
    for (const auto& [name, view] : a.tensors())
      CHECK(torch::equal(view_tensor(view), view_tensor(b.at(name))));
    const SafetensorsFile c(*one / "optimizer.safetensors"), d(*two / "optimizer.safetensors");
    for (const auto& [name, view] : c.tensors())
      CHECK(torch::equal(view_tensor(view), view_tensor(d.at(name))));
    const auto once = timeless_metrics(whole / stage / "metrics.jsonl"),
               often = timeless_metrics(tiny.run() / stage / "metrics.jsonl");
    REQUIRE(once.size() == often.size());
    for (std::size_t i = 0; i < once.size(); ++i) CHECK(once[i] == often[i]);
  }
}

TEST_CASE("training: a round on own states resumes with the scorer that began it", "[stages]") {
  const std::string budgets = GENERATE("supervised.budgets=[]", "supervised.budgets=[32, 48]"),
                    states = GENERATE("supervised.states=own", "supervised.states=both");
  CAPTURE(budgets, states);
  const Tiny tiny;
  const std::vector<std::string> settings = {"supervised.steps=6",
                                             "supervised.rounds=1",
                                             "supervised.save_every=1",
                                             "supervised.keep_last=9",
                                             budgets,
                                             states};
  const Config config = tiny.config(settings);
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const auto checkpoints = tiny.run() / "supervised/checkpoints";
  const auto weights = [&] { return sha256_file_hex(checkpoints / "step-000006/scorer.safetensors"); };
  const std::string whole = weights();
  // Steps 0 to 2 are on golden states; the resulting scorer makes the states of steps 3 to 5.
  CHECK_FALSE(std::filesystem::exists(checkpoints / "step-000003/behaviour.safetensors"));
  for (const char* later : {"step-000004", "step-000006"}) {
    const SafetensorsFile kept(checkpoints / later / "behaviour.safetensors"),
        began(checkpoints / "step-000003/scorer.safetensors");
    for (const auto& [name, view] : began.tensors())
      CHECK(torch::equal(view_tensor(view), view_tensor(kept.at(name))));
  }
  const auto rows = timeless_metrics(tiny.run() / "supervised/metrics.jsonl");
  CHECK(rows.at(2).at("round") == 0);
  CHECK(rows.at(3).at("round") == 1);

  const auto away = tiny.folder / "checkpoints";
  std::filesystem::copy(checkpoints, away, std::filesystem::copy_options::recursive);
  for (const char* from : {"step-000002", "step-000003", "step-000004", "step-000005"}) {
    INFO(from);  // its states were removed with the stage and are made again
    std::vector<std::string> resuming = settings;
    resuming.push_back("supervised.resume=" + (away / from).string());
    const Config again = tiny.config(resuming);
    run_supervised(again, workspace.model, workspace.tokenizer, alone());
    CHECK(weights() == whole);
  }
}

TEST_CASE("training: GRPO's steps take turns among the budgets, and resume in turn", "[stages]") {
  const Tiny tiny;
  const auto rows_with = [&](const std::string& budgets, bool stopped) {
    const Config config = tiny.config({"grpo.steps=4", "grpo.budgets=" + budgets});
    const Workspace workspace = open_workspace(config, alone());
    std::filesystem::remove_all(tiny.run() / "grpo");
    run_oracle(config, workspace.model, workspace.tokenizer, alone());
    run_supervised(config, workspace.model, workspace.tokenizer, alone());
    const auto stage = [&] { run_grpo(config, workspace.model, workspace.tokenizer, alone()); };
    if (stopped) {
      run_with_stops(stage);
    } else {
      stage();
    }
    return timeless_metrics(tiny.run() / "grpo/metrics.jsonl");
  };
  const auto plain = rows_with("[]", false), turns = rows_with("[32, 48]", false);
  REQUIRE(turns.size() == plain.size());
  CHECK_FALSE(plain.at(1).contains("budget"));
  for (std::size_t step = 1; step <= 4; ++step) {
    INFO(step);
    CHECK(turns.at(step).at("budget") == (step % 2 == 1 ? 32 : 48));
  }
  auto first = turns.at(1);
  first.erase("budget");
  CHECK(first == plain.at(1));
  CHECK(turns.at(2).at("loss_rise") != plain.at(2).at("loss_rise"));
  CHECK(rows_with("[32, 48]", true) == turns);
}

TEST_CASE("training: streamed states of the scorer's own train another scorer than golden ones, and resume",
          "[stages]") {
  const Tiny tiny;
  const auto trained = [&](const std::string& states, bool stopped) {
    const Config config =
        tiny.config({"supervised.features=stream", "supervised.states=" + states, "supervised.resume=auto"});
    const Workspace workspace = open_workspace(config, alone());
    std::filesystem::remove_all(tiny.run() / "supervised");
    run_oracle(config, workspace.model, workspace.tokenizer, alone());
    const auto stage = [&] { run_supervised(config, workspace.model, workspace.tokenizer, alone()); };
    if (stopped) {
      CHECK(run_with_stops(stage) == 5);
    } else {
      stage();
    }
    return sha256_file_hex(tiny.run() / "supervised/checkpoints/step-000006/scorer.safetensors");
  };
  const std::string own = trained("own", false);
  CHECK(trained("own", true) == own);
  CHECK(trained("golden", false) != own);
  const std::string both = trained("both", false);
  CHECK(trained("both", true) == both);
  CHECK(both != own);
  CHECK_FALSE(std::filesystem::exists(tiny.run() / "supervised/features"));
}

TEST_CASE(
    "training: a step on both states learns from the scorer's own and golden ones of the same evictions",
    "[stages]") {
  const Tiny tiny;
  // One step on golden states and one more. While the learning rate warms up, the first one is the same
  // whatever the second one's states are, and so is what the second one samples.
  const auto rows_with = [&](const std::string& states, const std::string& features) {
    const Config config = tiny.config({"supervised.steps=2", "supervised.rounds=1",
                                       "supervised.warmup_steps=4", "supervised.learning_rate=0.02",
                                       "supervised.own_learning_rate=0.02", "supervised.keep_features=true",
                                       "supervised.features=" + features, "supervised.states=" + states});
    const Workspace workspace = open_workspace(config, alone());
    std::filesystem::remove_all(tiny.run() / "supervised");
    run_oracle(config, workspace.model, workspace.tokenizer, alone());
    run_supervised(config, workspace.model, workspace.tokenizer, alone());
    return timeless_metrics(tiny.run() / "supervised/metrics.jsonl");
  };
  const std::string features = GENERATE("cache", "stream");
  CAPTURE(features);
  const auto golden = rows_with("golden", features), own = rows_with("own", features),
             both = rows_with("both", features);
  REQUIRE(both.size() == own.size());
  CHECK(both.at(0) == own.at(0));
  const auto loss = [](const auto& rows) { return rows.at(1).at("loss").template get<double>(); };
  REQUIRE(loss(golden) != loss(own));
  CHECK(loss(both) == Approx((loss(golden) + loss(own)) / 2).epsilon(1e-6));
  if (features == "stream") return;
  const auto stored = tiny.run() / "supervised/features";
  CHECK(SafetensorsFile(stored / "train-000000.safetensors").metadata().at("behaviour") == "golden");
  const auto under = SafetensorsFile(stored / "own/train-000000.safetensors").metadata().at("behaviour");
  CHECK(under.rfind("scorer ", 0) == 0);
}

TEST_CASE("training: resuming with other mathematics is refused with the keys that differ", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const Config other = tiny.config({"supervised.steps=4", "supervised.margin=0.5"});
  REQUIRE_THROWS_WITH(run_supervised(other, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("supervised.margin"));
  // A stage that is finished would otherwise say so, and leave the changed key without effect.
  REQUIRE_THROWS_WITH(run_supervised(tiny.config({"supervised.steps=2", "supervised.margin=0.5"}),
                                     workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("supervised.margin"));
  const Config anew = tiny.config({"supervised.steps=4", "supervised.margin=0.5", "supervised.resume=never"});
  REQUIRE_NOTHROW(run_supervised(anew, workspace.model, workspace.tokenizer, alone()));
  const Config lost = tiny.config({"supervised.steps=5", "supervised.resume=/nowhere/step-1"});
  REQUIRE_THROWS_WITH(run_supervised(lost, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("/nowhere/step-1"));
  // A checkpoint of another kind, whole as it is.
  const auto folder = *newest_checkpoint(tiny.run() / "supervised/checkpoints");
  nlohmann::json facts = read_manifest(folder);
  facts["kind"] = "foresight.checkpoint.0";
  write_manifest(folder, facts);
  REQUIRE_THROWS_WITH(
      run_supervised(tiny.config({"supervised.steps=5", "supervised.margin=0.5"}), workspace.model,
                     workspace.tokenizer, alone()),
      Catch::Contains("of kind \"foresight.checkpoint.0\"") && Catch::Contains("supervised.resume=never"));
}
