// The page in a real browser: Debian's chromium, headless.
#include <cstdlib>
#include <string>

#include "tests/catch.h"
#include "tests/report/browser.h"
#include "tests/report/fixture.h"
#include "trainer/report/report.h"

namespace foresight {
namespace {

using Catch::Contains;

/// What the frame asks a report: its heat maps, its choice of policies and the tooltips of its plots.
const std::string kQuestions = R"js(
  out.heat = count('svg.heat');
  out.cells = count('svg.heat rect');
  page.querySelectorAll('.panel').forEach(function (part) { part.style.display = ''; });
  function visible() {
    return Array.prototype.filter.call(page.querySelectorAll('#heads .panel'), function (part) {
      return inner.getComputedStyle(part).display !== 'none';
    }).map(function (part) { return part.querySelector('svg').getAttribute('aria-label'); }).join('|');
  }
  out.shown = visible();
  page.querySelector('#heads label:nth-of-type(2)').click();
  out.chosen = visible();
)js";

TEST_CASE("report page: loads in a browser without faults or requests, and fits a phone") {
  if (!has_chromium()) {
    WARN("NOT RUN: no chromium (apt-get install --no-install-recommends chromium)");
    return;
  }
  const TemporaryFolder folder;
  std::filesystem::copy(report_fixture(), folder / "run", std::filesystem::copy_options::recursive);
  const std::string page = content_of(write_report(folder / "run"));

  const Visit plain = visit(folder, folder / "run/report.html");
  INFO(plain.log);
  REQUIRE(plain.status == 0);
  CHECK_THAT(plain.document, Contains("Foresight report: run") && Contains("id=\"training-cost\"") &&
                                 Contains("class=\"tip\""));  // the script ran to its first line at least
  CHECK(plain.log.find("CONSOLE") == std::string::npos);

  // At 390 px, a phone; at 1200 px, a desk.
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
    CHECK(answer("plots") == "13");  // budget, context, tails, prompt, recall, 3 + 3 of training, 2 of cost
    CHECK(answer("heat") == "11");
    CHECK(answer("lines") == "58");   // 10 + 10, 10 + 10 + 5, 3 + 4, 3 + 3: full stands in cost only
    CHECK(answer("cells") == "990");  // 11 policies, 30 layers, 3 heads
    CHECK(answer("sections") == "12");
    CHECK(answer("unnamed") == "0");
    CHECK(answer("requests") == "0");
    CHECK_THAT(answer("shown"), Catch::EndsWith(": supervised + RL"));
    CHECK_THAT(answer("chosen"), Catch::EndsWith(": supervised"));
    CHECK_THAT(answer("tip"), Contains("golden / 32: 0.00"));
  }
}

}  // namespace
}  // namespace foresight
