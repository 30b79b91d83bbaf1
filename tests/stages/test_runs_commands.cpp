#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "golden_eviction/oracle_stage.h"
#include "tests/stages/printed.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/training/run_folder.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

using Catch::Contains;

TEST_CASE("runs and compare: real runs are listed and compared, as text and as JSON", "[stages]") {
  const Tiny tiny;
  const std::vector<std::string> short_run = {"supervised.steps=2", "supervised.evaluate_every=1",
                                              "grpo.steps=0"};
  const auto output_of = [&](const char* name) { return "output=" + (tiny.folder / "runs" / name).string(); };
  std::vector<std::string> first = short_run, second = short_run;
  first.insert(first.end(), {output_of("a"), "evaluation.policies=[full, supervised, streaming_llm]"});
  second.insert(second.end(), {output_of("b"), "supervised.margin=0.5", "data.evaluation=[]"});
  for (const auto& overrides : {first, second})
    printed([&] { command_run(tiny.config(overrides), alone()); });

  const std::filesystem::path a = tiny.folder / "runs/a", b = tiny.folder / "runs/b";
  const auto runs = nlohmann::json::parse(printed([&] { command_runs(tiny.folder, OutputForm::kJson); }));
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].at("path") == a.string());
  CHECK(runs[0].at("model") == "model");
  for (const auto& run : runs) {
    CHECK(run.at("faults").empty());
    CHECK(run.at("stages").at("traces").at("state") == "absent");
    CHECK(run.at("stages").at("oracle").at("state") == "done");
    CHECK(run.at("stages").at("supervised") ==
          nlohmann::json({{"state", "done"}, {"step", 2}, {"steps", 2}}));
    CHECK(run.at("measure").at("name") == "eval_loss_rise");
  }
  CHECK(runs[0].at("stages").at("evaluate").at("state") == "done");
  CHECK(runs[1].at("evaluation").is_null());
  const auto evaluation = nlohmann::json::parse(content_of(a / "evaluation.json"));
  for (const char* policy : {"full", "supervised", "streaming_llm"}) {
    CHECK(runs[0].at("evaluation").at("loss_rise").at(policy) ==
          evaluation.at("policies").at(policy).at("loss_rise"));
  }
  // The rises of the traces, weighted by their tokens, are the pooled ones.
  const auto& measured = evaluation.at("policies").at("streaming_llm");
  for (const auto& [rise, tokens] :
       {std::pair("loss_rise", "tokens"), {"low_entropy_loss_rise", "low_entropy_tokens"}}) {
    double sum = 0, count = 0;
    for (std::size_t trace = 0; trace < 2; ++trace) {
      const double weight = measured.at(std::string("trace_") + tokens).at(trace);
      sum += weight * measured.at(std::string("trace_") + rise).at(trace).get<double>();
      count += weight;
    }
    CHECK(sum / count == Approx(measured.at(rise).get<double>()));
    CHECK(count <= measured.at("tokens").get<double>());
  }
  CHECK_THAT(printed([&] { command_runs(tiny.folder / "runs", OutputForm::kText); }),
             Contains(a.string()) && Contains(b.string()) && Contains("StreamingLLM"));

  const auto comparison = nlohmann::json::parse(printed([&] { command_compare({a, b}, OutputForm::kJson); }));
  CHECK(comparison.at("config").contains("supervised.margin"));
  CHECK(comparison.at("config").size() == 4);  // and output, data.evaluation, evaluation.policies
  const auto& loss = comparison.at("supervised").at("loss");
  CHECK(loss.at("difference") == loss.at("second").get<double>() - loss.at("first").get<double>());
  CHECK_THAT(printed([&] { command_compare({a, a}, OutputForm::kText); }), Contains("config: no difference"));
  const auto of_three = nlohmann::json::parse(printed([&] {
    command_compare({a, a, b}, OutputForm::kJson);
  }));
  REQUIRE(of_three.size() == 2);
  CHECK(of_three[0].at("evaluation")[0].at("policies").at("supervised").at("loss_rise").at("low") == 0);
  CHECK(of_three[1] == comparison);
  CHECK_THROWS_WITH(command_compare({a}, OutputForm::kText), Contains("two runs or more"));
  command_compare_page({a, a, b}, tiny.folder / "page.html");
  CHECK_THAT(content_of(tiny.folder / "page.html"),
             Contains("supervised.margin") && Contains("Supervised: ranking loss") &&
                 Contains("No evaluation yet") && Contains("<span>all runs</span>"));
}

TEST_CASE("status: a run is seen while it is held, and when its training was stopped", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.features=stream"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  request_stop();
  CHECK_THROWS_AS(run_supervised(config, workspace.model, workspace.tokenizer, alone()), Error);
  clear_stop_request();
  const auto status = [&] {
    return nlohmann::json::parse(printed([&] { command_status(tiny.run(), OutputForm::kJson); }));
  };
  {
    const OpenRun held = open_run_folder(config);
    CHECK(status().at("holder") == ::getpid());
    CHECK(status().at("current_stage") == "supervised");
    CHECK(status().at("stages").at("supervised").at("step") == 1);
    CHECK(status().at("stage_seconds_left").get<double>() > 0);
  }
  CHECK(status().at("holder").is_null());
  CHECK_THAT(printed([&] { command_status(tiny.run(), OutputForm::kText); }), Contains("supervised  1/6"));
}

TEST_CASE("runs and compare: a folder that is no run is an input error that says so", "[stages]") {
  const TemporaryFolder folder;
  const auto kind_of = [](const auto& action) {
    try {
      printed(action);
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Contains("nothing"));
      return static_cast<int>(error.kind());
    }
    return 0;
  };
  CHECK(kind_of([&] { command_runs(folder / "nothing", OutputForm::kText); }) == 3);
  CHECK(kind_of([&] { command_status(folder / "nothing", OutputForm::kText); }) == 3);
  CHECK(kind_of([&] { command_compare({folder / "nothing", folder.path()}, OutputForm::kText); }) == 3);
  CHECK(printed([&] { command_runs(folder.path(), OutputForm::kJson); }) == "[]\n");
}

}  // namespace
}  // namespace foresight
