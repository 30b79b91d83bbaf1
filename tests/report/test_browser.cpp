// The page in a real browser: Debian's chromium, headless.
#include <cstdlib>
#include <string>

#include "tests/catch.h"
#include "tests/report/fixture.h"
#include "trainer/report/html.h"
#include "trainer/report/report.h"

namespace foresight {
namespace {

using Catch::Contains;

bool has_chromium() {
  return std::system("command -v chromium >/dev/null 2>&1") == 0;
}

/// Chromium's final document of a file, and what it logged.
struct Visit {
  int status = -1;
  std::string document, log;
};

Visit visit(const TemporaryFolder& folder, const std::filesystem::path& file) {
  const std::string command =
      "timeout 120 chromium --headless --no-sandbox --disable-gpu --enable-logging=stderr "
      "--disable-background-networking --disable-dev-shm-usage --virtual-time-budget=4000 "
      "--user-data-dir='" +
      (folder / "profile").string() + "' --dump-dom 'file://" + file.string() + "' >'" +
      (folder / "dom").string() + "' 2>'" + (folder / "log").string() + "'";
  Visit result;
  result.status = std::system(command.c_str());
  result.document = content_of(folder / "dom");
  result.log = content_of(folder / "log");
  return result;
}

/// Asks the page, in a frame as wide as a phone, for what it measures; the answers become attributes of
/// <body>. A frame, because a browser's own window is never this narrow; srcdoc, because that may be looked
/// into.
std::string frame_around(const std::string& page, int width) {
  return "<!DOCTYPE html><meta charset=\"utf-8\"><body><iframe width=\"" + std::to_string(width) +
         "\" height=\"844\" style=\"border:0\" srcdoc=\"" + escape_html(page) + R"html("></iframe><script>
window.addEventListener('load', function () {
  var inner = document.querySelector('iframe').contentWindow, page = inner.document, out = document.body.dataset;
  function count(what) { return page.querySelectorAll(what).length; }
  page.querySelectorAll('details').forEach(function (part) { part.open = true; });
  page.querySelectorAll('.panel').forEach(function (part) { part.style.display = 'block'; });
  out.width = inner.innerWidth;
  out.scrollWidth = page.documentElement.scrollWidth;
  out.plots = count('svg.plot:not(.heat)');
  out.heat = count('svg.heat');
  out.lines = count('svg.plot .line');
  out.cells = count('svg.heat rect');
  out.sections = count('section');
  out.unnamed = count('svg.plot:not([role="img"]), svg.plot:not([aria-label])');
  out.requests = inner.performance.getEntriesByType('resource').length;
  page.querySelectorAll('.panel').forEach(function (part) { part.style.display = ''; });
  function visible() {
    return Array.prototype.filter.call(page.querySelectorAll('#heads .panel'), function (part) {
      return inner.getComputedStyle(part).display !== 'none';
    }).map(function (part) { return part.querySelector('svg').getAttribute('aria-label'); }).join('|');
  }
  out.shown = visible();
  page.querySelector('#heads label:nth-of-type(2)').click();
  out.chosen = visible();
  var plot = page.querySelector('#budget svg.plot'), point = plot.querySelector('.series').dataset.p.split(/[ ;]/);
  var matrix = plot.getScreenCTM();
  plot.dispatchEvent(new inner.PointerEvent('pointermove', {bubbles: true, clientX: +point[0] * matrix.a + matrix.e,
                                                            clientY: +point[1] * matrix.d + matrix.f}));
  out.tip = page.querySelector('.tip').textContent.replace('\n', ' / ');
});
</script></body>)html";
}

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
    const Visit framed = visit(folder, folder.write("frame.html", frame_around(page, width)));
    REQUIRE(framed.status == 0);
    CHECK(framed.log.find("CONSOLE") == std::string::npos);
    const auto answer = [&](const std::string& name) {
      const std::string start = "data-" + name + "=\"";
      const std::size_t at = framed.document.find(start);
      if (at == std::string::npos) return std::string("no answer");
      const std::size_t from = at + start.size();
      return framed.document.substr(from, framed.document.find('"', from) - from);
    };
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
