#include "trainer/runs/comparison_page.h"

#include "tests/report/fixture.h"
#include "tests/report/nesting.h"
#include "tests/runs/compared_runs.h"
#include "trainer/base/error.h"
#include "trainer/runs/config_of_runs.h"

namespace foresight {
namespace {

using Catch::Contains;

constexpr const char* kSupervisedRows =
    "{\"step\":1,\"loss\":0.5,\"eval_low_entropy_loss_rise\":0.25}\n{\"step\":40,\"loss\":0.25,"
    "\"eval_low_entropy_loss_rise\":0.125}\n";
constexpr const char* kGrpoRows = "{\"step\":1,\"reward\":-0.5}\n{\"step\":6,\"reward\":-0.25}\n";

/// Two runs with everything that the page shows, and one that has only begun.
struct ThreeRuns : ComparedRuns {
  ThreeRuns() {
    Config wide_config = small_config();
    wide_config.supervised.steps = 80;
    wide_config.output = "elsewhere";
    add("narrow", evaluation_of_two(0.2, 0.1));
    add("wide", evaluation_of_two(0.1, 0.06), wide_config);
    add("begun", nullptr);
    for (const char* name : {"narrow", "wide"})
      folders.write(std::string(name) + "/supervised/metrics.jsonl", kSupervisedRows);
    folders.write("wide/grpo/metrics.jsonl", kGrpoRows);
  }
};

TEST_CASE("comparison page: runs, policies, curves and keys stand in sections, and the page nests properly") {
  const std::string html = comparison_html(ThreeRuns().read());
  CHECK(nesting_fault(html).empty());
  CHECK_THAT(html, Contains("<h1>Foresight comparison: narrow, wide, begun</h1>"));
  std::size_t last = 0;
  for (const char* id : {"runs", "policies", "training", "config"}) {
    INFO(id);
    const std::size_t at = html.find(std::string("<section id=\"") + id + "\">");
    REQUIRE(at != std::string::npos);
    CHECK(at > last);
    last = at;
  }
  CHECK(html.find("<section id=\"faults\">") == std::string::npos);
  CHECK_THAT(html, Contains("rise less narrow\u2019s [interval]") &&
                       Contains("\u22120.0550 [\u22120.1000, \u22120.0400]") &&
                       Contains("\u22120.0275 [\u22120.0500, \u22120.0200]") &&
                       Contains("<span>all runs</span>"));
  CHECK_THAT(html, Contains("No evaluation yet (`foresight evaluate` makes it): begun."));
  for (const char* figure : {"Supervised: ranking loss", "Supervised: validation low-entropy rise",
                             "Reinforcement learning (GRPO): reward"})
    CHECK_THAT(html, Contains(figure));
  CHECK(html.find("KL to the start") == std::string::npos);
  CHECK(occurrences(html, "data-name=\"narrow\"") == 2);
  CHECK(occurrences(html, "data-name=\"wide\"") == 3);
  CHECK_THAT(html, Contains("supervised.steps</th><td>40</td><td>80</td><td>40</td>"));
  CHECK(html.find(">output</th>") == std::string::npos);
}

TEST_CASE("comparison page: it says why runs cannot be paired") {
  ComparedRuns compared;
  compared.add("a", evaluation_of_two(0.2, 0.1));
  nlohmann::json other = evaluation_of_two(0.1, 0.06);
  other["inputs"]["traces_sha256"] = "xyz";
  other["inputs"]["model_fingerprint"] = "another";
  compared.add("b", other);
  const std::string html = comparison_html(compared.read());
  CHECK_THAT(html, Contains("b is not paired with a: the held-out traces are different.") &&
                       Contains("The runs are of different models"));
  CHECK(html.find("[interval]") == std::string::npos);
}

TEST_CASE("comparison page: markup in names, values and faults is shown, not obeyed") {
  const std::string hostile = "<script>alert(1)<script>\"'&";
  ComparedRuns compared;
  Config config = small_config();
  config.model.path = config.data.train[0] = hostile;
  nlohmann::json evaluation = evaluation_of_two(0.2, 0.1);
  evaluation["policies"][hostile] = evaluation["policies"]["h2o"];
  evaluation["inputs"]["score"] = hostile;
  compared.add(hostile, evaluation, config);
  compared.add("plain", evaluation_of_two(0.1, 0.06));
  compared.add("faulty<b>", nullptr);
  compared.folders.write("faulty<b>/config.yaml", "<script>: [\n");
  const std::string html = comparison_html(compared.read());
  CHECK(nesting_fault(html).empty());
  CHECK(occurrences(html, "<script>") == 1);
  CHECK(html.find("<b>/") == std::string::npos);
  CHECK_THAT(html, Contains("&lt;script&gt;alert(1)&lt;script&gt;&quot;&#39;&amp;") &&
                       Contains("<section id=\"faults\">") &&
                       Contains("The config cannot be read: faulty&lt;b&gt;."));
  for (const char* part : {"http:", "https:", "src=", "url(", "@import", "<link", "<img"}) {
    INFO(part);
    CHECK(html.find(part) == std::string::npos);
  }
}

TEST_CASE("comparison page: scorers' files are named by what differs between them, over all runs") {
  ComparedRuns compared;
  for (const std::string name : {"a", "b"}) {
    nlohmann::json evaluation = evaluation_of_two(0.2, 0.1);
    evaluation["policies"]["runs/" + name + "/exports/supervised.safetensors"] = policy_of_two(0.3, 0.1);
    compared.add(name, evaluation);
  }
  CHECK_THAT(comparison_html(compared.read()), Contains(">a/exports/supervised.safetensors<") &&
                                                   Contains(">b/exports/supervised.safetensors<"));
}

TEST_CASE("comparison page: runs that differ in nothing, or have no config, say so") {
  ComparedRuns compared;
  compared.add("a", nullptr);
  compared.add("b", nullptr);
  CHECK_THAT(comparison_html(compared.read()), Contains("differ in no key but `output`"));
  compared.folders.write("b/config.yaml", "output: [\n");
  CHECK_THAT(comparison_html(compared.read()), Contains("There are no two configs to compare."));
  CHECK(keys_that_differ(compared.read()).empty());
}

TEST_CASE("comparison page: an overview holds all runs below a folder; a folder without one is a fault") {
  const ThreeRuns compared;
  const std::filesystem::path page = write_overview(compared.folders.path());
  CHECK(page == compared.folders / "overview.html");
  CHECK_THAT(content_of(page), Contains("Foresight runs: ") && Contains("begun") && Contains("narrow"));
  const TemporaryFolder empty;
  const auto fault = [](const std::filesystem::path& folder) {
    try {
      write_overview(folder);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(fault(empty.path()), Contains("no runs below") && Contains("config.yaml"));
  CHECK_FALSE(std::filesystem::exists(empty / "overview.html"));
  CHECK_THAT(fault(empty / "nothing"), Contains("no folder at"));
}

}  // namespace
}  // namespace foresight
