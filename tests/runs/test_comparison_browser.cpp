// The page of several runs in a real browser.
#include <cstdlib>

#include "tests/report/browser.h"
#include "tests/report/fixture.h"
#include "tests/runs/compared_runs.h"
#include "trainer/runs/comparison_page.h"

namespace foresight {
namespace {

using Catch::Contains;

/// The tooltip of the first point of the first plot.
const std::string kQuestions = R"js(
  out.rows = count('#policies tbody tr');
)js";

TEST_CASE("comparison page: loads in a browser without faults or requests, and fits a phone") {
  if (!has_chromium()) {
    WARN("NOT RUN: no chromium (apt-get install --no-install-recommends chromium)");
    return;
  }
  ComparedRuns compared;
  for (const std::string name : {"a run with quite a long name of which much is words", "b", "c"}) {
    Config config = small_config();
    config.supervised.steps = 100 + 10 * static_cast<std::int64_t>(compared.names.size());
    config.data.train = {"a/path/that/is/rather/long/and/has/no/spaces/" + name + ".jsonl"};
    const double rise = 0.2 - 0.05 * static_cast<double>(compared.names.size());
    compared.add(name, swept_evaluation({2 * rise, rise, rise / 2}), config);
    for (const char* stage : {"supervised", "grpo"}) {
      const std::string file = std::string(stage) + "/metrics.jsonl";
      compared.folders.write(name + "/" + file, content_of(report_fixture() / file));
    }
  }
  const TemporaryFolder folder;
  write_comparison(compared.read(), folder / "page.html");
  const Visit plain = visit(folder, folder / "page.html");
  INFO(plain.log);
  REQUIRE(plain.status == 0);
  CHECK_THAT(plain.document, Contains("Foresight comparison: ") && Contains("class=\"tip\""));
  CHECK(plain.log.find("CONSOLE") == std::string::npos);
  const std::string page = content_of(folder / "page.html");
  for (const int width : {390, 1200}) {
    INFO(width);
    const Visit framed =
        visit(folder,
              folder.write("frame.html", frame_around(page, width, kQuestions + pointed_at_plot("#budget"))));
    REQUIRE(framed.status == 0);
    CHECK(framed.log.find("CONSOLE") == std::string::npos);
    const auto answer = [&](const std::string& name) { return answer_in(framed.document, name); };
    CHECK(answer("width") == std::to_string(width));
    CHECK(std::atoi(answer("scroll-width").c_str()) <= width);
    CHECK(answer("sections") == "5");
    CHECK(answer("plots") == "7");
    CHECK(answer("lines") == "23");  // 3 in each plot of training; two rules and 3 scorers against the budget
    CHECK(answer("rows") == "17");   // full and rules of all runs, a scorer of each: 5, 6 and 6
    CHECK(answer("unnamed") == "0");
    CHECK(answer("requests") == "0");
    CHECK_THAT(answer("tip"), Contains("SnapKV / 16: 0.625"));
  }
}

}  // namespace
}  // namespace foresight
