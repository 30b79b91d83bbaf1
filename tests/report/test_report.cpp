#include "trainer/report/report.h"

#include <vector>

#include "tests/catch.h"
#include "tests/report/fixture.h"
#include "tests/report/nesting.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Catch::Contains;

const std::vector<std::string> kSections = {"results", "budget",     "context",  "tails",
                                            "held",    "recall",     "training", "heads",
                                            "tokens",  "generation", "cost",     "training-cost"};

std::string section(const std::string& id) {
  return "<section id=\"" + id + "\">";
}

ReportCurves fixture_curves() {
  return {.supervised = parse_metrics(content_of(report_fixture() / "supervised/metrics.jsonl"), "s"),
          .grpo = parse_metrics(content_of(report_fixture() / "grpo/metrics.jsonl"), "g")};
}

std::string fault_of(const nlohmann::json& evaluation) {
  try {
    report_html(evaluation, {}, "title");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK_THAT(error.what(), Contains("evaluation.json: ") && Contains("run `foresight evaluate` again"));
    return error.what();
  }
  return "";
}

TEST_CASE("report: a full evaluation has every section, in order, and the page nests properly") {
  const std::string html = report_html(fixture_evaluation(), fixture_curves(), "A run", "key: value");
  CHECK(nesting_fault(html).empty());
  std::size_t last = 0;
  for (const std::string& id : kSections) {
    INFO(id);
    CHECK(html.find(section(id)) > last);
    last = html.find(section(id));
    REQUIRE(last != std::string::npos);
  }
  for (const char* name : {"full", "golden", "supervised + RL", "R-KV", "StreamingLLM", "H2O", "SnapKV",
                           "TOVA", "KeyDiff", "random"})
    CHECK_THAT(html, Contains(name));
  CHECK_THAT(html, Contains("+0.0061") && Contains("\u22120.0182 [\u22120.0222, \u22120.0142]"));
  CHECK_THAT(html,
             Contains("scored tokens <b>11\u202F248</b>") && Contains("tokens are scored from position 545"));
  CHECK_THAT(html, Contains("an evicting batch of 8: 2 at 512 (45.0 tokens/s), 1 at 1\u202F024") &&
                       Contains("none at 4\u202F096"));
  CHECK_THAT(html, Contains("<pre tabindex=\"0\">key: value</pre>"));
  // R-KV after 39 evictions: e^(-0.0243 * 39).
  CHECK_THAT(html, Contains("0.39 [0.31, 0.46]<br><small>found 39.0\u00A0%</small>") &&
                       Contains("24 facts at each distance") && Contains("worst window of a trace"));
}

TEST_CASE("report: sections without data are left out") {
  const std::string html = report_html(small_evaluation(), {}, "A run");
  CHECK(nesting_fault(html).empty());
  for (const std::string& id : kSections)
    CHECK((html.find(section(id)) != std::string::npos) == (id == "results"));
  CHECK(html.find("<svg class=\"plot") == std::string::npos);
  CHECK(html.find("KL to full") == std::string::npos);
  CHECK(html.find("<details>") == std::string::npos);

  const std::vector<std::pair<std::string, std::string>> blocks = {
      {"sweep", "budget"},  {"token_view", "tokens"}, {"generation", "generation"},
      {"recall", "recall"}, {"cost", "cost"},         {"training", "training-cost"}};
  for (const auto& [key, id] : blocks) {
    nlohmann::json evaluation = fixture_evaluation();
    evaluation.erase(key);
    const std::string without = report_html(evaluation, fixture_curves(), "A run");
    for (const std::string& other : kSections) {
      INFO(key << " " << other);
      CHECK((without.find(section(other)) == std::string::npos) == (other == id));
    }
    evaluation[key] = nullptr;
    CHECK(report_html(evaluation, fixture_curves(), "A run") == without);
  }
  const std::string one_stage =
      report_html(fixture_evaluation(), {.supervised = {}, .grpo = fixture_curves().grpo}, "A");
  CHECK_THAT(one_stage, Contains("KL to the start") && !Contains("ranking loss"));
}

TEST_CASE("report: empty blocks are sections without data, not faults") {
  nlohmann::json evaluation = small_evaluation();
  evaluation["sweep"] = nlohmann::json::array();
  evaluation["token_view"] = {{"tokens", nlohmann::json::array()}, {"policies", nlohmann::json::object()}};
  evaluation["cost"] = {{"contexts", nlohmann::json::array()}, {"policies", nlohmann::json::object()}};
  evaluation["generation"] = nlohmann::json::object();
  evaluation["recall"] = {{"evictions", nlohmann::json::array()},
                          {"full_found", nlohmann::json::array()},
                          {"policies", nlohmann::json::object()}};
  evaluation["policies"]["full"]["tail"] = nlohmann::json::array();
  evaluation["policies"]["full"]["prompt_live"] = nlohmann::json::array();
  evaluation["training"] = nlohmann::json::object();
  evaluation["policies"]["full"]["attention_kept_by_head"] = nlohmann::json::array();
  evaluation["policies"]["full"]["by_position"] = nlohmann::json::array();
  CHECK(report_html(evaluation, {}, "A run") == report_html(small_evaluation(), {}, "A run"));
  evaluation["policies"] = nlohmann::json::object();
  CHECK(report_html(evaluation, {}, "A run").find("<section") == std::string::npos);
}

TEST_CASE("report: markup in names, tokens and texts is shown, not obeyed") {
  const std::string hostile = "<script>alert(1)</script>\"'&";
  nlohmann::json evaluation = fixture_evaluation();
  evaluation["code_version"] = evaluation["inputs"]["model"] = hostile;
  evaluation["generation"]["task"] = evaluation["token_view"]["trace"] = hostile;
  evaluation["token_view"]["tokens"][0] = hostile;
  evaluation["policies"]["grpo"]["difference"]["sentence"] = hostile;
  for (nlohmann::json* policies :
       {&evaluation["policies"], &evaluation["token_view"]["policies"], &evaluation["sweep"][0]["policies"],
        &evaluation["generation"]["policies"], &evaluation["cost"]["policies"]})
    (*policies)[hostile] = (*policies)["supervised"];
  const std::string html = report_html(evaluation, fixture_curves(), hostile, hostile);
  CHECK(nesting_fault(html).empty());
  CHECK(occurrences(html, "<script>") == 1);
  CHECK(html.find("alert(1)</script>") == std::string::npos);
  CHECK_THAT(html, Contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
}

TEST_CASE("report: the page names nothing outside itself") {
  const std::string html = report_html(fixture_evaluation(), fixture_curves(), "A run");
  for (const char* part : {"http:", "https:", "src=", "url(", "@import", "<link", "<img"}) {
    INFO(part);
    CHECK(html.find(part) == std::string::npos);
  }
  CHECK_THAT(html, Contains("default-src 'none'"));
}

TEST_CASE("report: a sweep that lacks the main budget takes it from the main table and says so") {
  nlohmann::json evaluation = fixture_evaluation();
  evaluation["sweep"].erase(2);
  CHECK_THAT(report_html(evaluation, {}, "A run"), Contains("The point at budget 128 is the main table"));
  evaluation["sweep"][0]["window"] = 16;
  CHECK_THAT(report_html(evaluation, {}, "A run"), Contains("Windows differ") && Contains("32/16, 64/32"));
}

TEST_CASE("report: a value of another type is a fault that names its key") {
  const std::vector<std::pair<std::string, nlohmann::json>> faults = {
      {"/budget", 0},
      {"/budget", "128"},
      {"/window", 1.5},
      {"/policies", 3},
      {"/policies/grpo", 3},
      {"/policies/grpo/loss", "low"},
      {"/policies/grpo/kl_to_full", true},
      {"/policies/grpo/loss_rise", 1e200},
      {"/policies/grpo/attention_kept_by_head", 1},
      {"/policies/grpo/attention_kept_by_head/1", {0.5}},
      {"/policies/grpo/attention_kept_by_head/0/0", "x"},
      {"/policies/grpo/by_position/0/end", -1},
      {"/policies/grpo/difference/low", "x"},
      {"/policies/grpo/difference/significant", 1},
      {"/policies/grpo/difference/sentence", 1},
      {"/inputs/policies/0", 1},
      {"/inputs/model", 1},
      {"/sweep", 1},
      {"/sweep/0/budget", "x"},
      {"/sweep/1/policies/h2o/loss_rise", "x"},
      {"/generation/task", 1},
      {"/generation/policies/grpo/accuracy", "x"},
      {"/generation/passkey/depths/0", "x"},
      {"/generation/continued/policies/grpo/equal_share", "x"},
      {"/policies/grpo/tail/0/share", "x"},
      {"/policies/grpo/prompt_live", 1},
      {"/policies/grpo/churn", "x"},
      {"/recall/evictions/0", 0},
      {"/recall/full_found", {1.0}},
      {"/recall/policies/grpo/recall", {0.5}},
      {"/recall/policies/grpo/found/1", "x"},
      {"/generation/passkey/policies/grpo", {0.5}},
      {"/cost/contexts/0", 0},
      {"/cost/policies/rkv/kv_bytes", {1, 2}},
      {"/training/grpo_seconds_per_step", "x"},
      {"/token_view/tokens/0", 1},
      {"/token_view/policies/grpo", {0.5, 0.5}}};
  for (const auto& [pointer, value] : faults) {
    INFO(pointer);
    nlohmann::json evaluation = fixture_evaluation();
    evaluation[nlohmann::json::json_pointer(pointer)] = value;
    std::string key;  // "/a/0/b" -> "a[0].b"
    for (std::size_t at = 1; at < pointer.size();) {
      const std::size_t end = std::min(pointer.find('/', at), pointer.size());
      const std::string part = pointer.substr(at, end - at);
      if (part.find_first_not_of("0123456789") == std::string::npos) {
        key += "[" + part + "]";
      } else {
        key += (key.empty() ? "" : ".") + part;
      }
      at = end + 1;
    }
    CHECK_THAT(fault_of(evaluation), Contains(": " + key + ": expected"));
  }
  CHECK_THAT(fault_of(nlohmann::json::array()), Contains("the document: expected an object"));
  CHECK_THAT(fault_of({{"budget", 1}, {"window", 1}}), Contains("\"policies\" is missing"));
}

TEST_CASE("report: numbers that are null or missing are dashes and gaps") {
  nlohmann::json evaluation = fixture_evaluation();
  for (auto& policy : evaluation["policies"]) {
    policy["loss"] = nullptr;
    policy["attention_kept_by_head"][0][0] = nullptr;
  }
  evaluation["cost"]["policies"]["full"]["decode_tokens_per_second"][1] = nullptr;
  evaluation["token_view"]["policies"]["grpo"][0] = nullptr;
  const std::string html = report_html(evaluation, {}, "A run");
  CHECK(html.find("<th scope=\"col\">loss</th>") == std::string::npos);
  CHECK(nesting_fault(html).empty());
  CHECK_THAT(html, Contains("data-shares=\"? ") && Contains("<span class=\"kx\">&lt;|im_start|&gt;</span>"));
  CHECK(html.find("nan") == std::string::npos);
}

TEST_CASE("report: a layer without KV heads is a fault") {
  nlohmann::json evaluation = fixture_evaluation();
  for (auto& policy : evaluation["policies"])
    policy["attention_kept_by_head"] = nlohmann::json::array({nlohmann::json::array()});
  CHECK_THAT(fault_of(evaluation), Contains("expected at least one KV head a layer"));
}

TEST_CASE("report: where not all layers evict, those that do keep the model's numbers") {
  nlohmann::json evaluation = small_evaluation();
  evaluation["policies"]["full"]["attention_kept_by_head"] = {{0.5, 1.0}, {0.25, 0.75}};
  CHECK_THAT(report_html(evaluation, {}, "A run"), !Contains("never evicted from"));
  evaluation["evicting_layers"] = {5, 11};
  const std::string page = report_html(evaluation, {}, "A run");
  CHECK_THAT(page, Contains("Layers 5, 11 of the model evict. The others"));
  CHECK_THAT(page, Contains("data-t=\"layer 11, KV head 1: ") && Contains("in layer 11, KV head 0.") &&
                       !Contains("data-t=\"layer 0,"));
  evaluation["evicting_layers"] = {5};
  CHECK_THAT(fault_of(evaluation),
             Contains("evicting_layers") && Contains("expected 2 layers, as policy 'full' has, found 1"));
}

TEST_CASE("report: a run's folder becomes its page and its CSV") {
  const TemporaryFolder folder;
  const std::filesystem::path run = folder / "my run";
  std::filesystem::copy(report_fixture(), run, std::filesystem::copy_options::recursive);
  const std::filesystem::path page = write_report(run);
  CHECK(page == run / "report.html");
  CHECK_THAT(content_of(page), Contains("<h1>Foresight report: my run</h1>") &&
                                   Contains("invented/&lt;model&gt;") && Contains(section("training")));
  CHECK(content_of(run / "report.csv") == evaluation_csv(fixture_evaluation()));
  for (const char* optional : {"supervised/metrics.jsonl", "grpo/metrics.jsonl", "config.yaml"})
    std::filesystem::remove(run / optional);
  CHECK(content_of(write_report(run)).find(section("training")) == std::string::npos);
}

TEST_CASE("report: a missing or damaged file is a fault, and nothing is written") {
  const TemporaryFolder folder;
  const auto fault = [&] {
    try {
      write_report(folder.path());
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(fault(), Contains("evaluation.json: the file is not there") && Contains("foresight evaluate"));
  folder.write("evaluation.json", "{\"budget\": ");
  CHECK_THAT(fault(), Contains("evaluation.json: expected JSON"));
  folder.write("evaluation.json", small_evaluation().dump());
  std::filesystem::create_directory(folder / "grpo");
  folder.write("grpo/metrics.jsonl", "{\"step\":1}\nhalf a ro");
  CHECK_THAT(fault(), Contains("grpo/metrics.jsonl: line 2"));
  CHECK_FALSE(std::filesystem::exists(folder / "report.html"));
  CHECK_FALSE(std::filesystem::exists(folder / "report.csv"));
}

}  // namespace
}  // namespace foresight
