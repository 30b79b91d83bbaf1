// Pages in a real browser: Debian's chromium, headless.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/base/temporary_folder.h"
#include "trainer/report/html.h"

namespace foresight {

inline bool has_chromium() {
  return std::system("command -v chromium >/dev/null 2>&1") == 0;
}

/// Chromium's final document of a file, and what it logged.
struct Visit {
  int status = -1;
  std::string document, log;
};

inline Visit visit(const TemporaryFolder& folder, const std::filesystem::path& file) {
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

/// The value of a data attribute in a document; "no answer" where it is missing.
inline std::string answer_in(const std::string& document, const std::string& name) {
  const std::string start = "data-" + name + "=\"";
  const std::size_t at = document.find(start);
  if (at == std::string::npos) return "no answer";
  const std::size_t from = at + start.size();
  return document.substr(from, document.find('"', from) - from);
}

/// A question for frame_around(): points at the first value of the first plot below `selector`; `tip` is what
/// the page then shows.
inline std::string pointed_at_plot(const std::string& selector) {
  return "var plot = page.querySelector('" + selector + " svg.plot')," + R"js(
      point = plot.querySelector('.series').dataset.p.split(/[ ;]/);
  plot.scrollIntoView();
  var matrix = plot.getScreenCTM();
  plot.dispatchEvent(new inner.PointerEvent('pointermove', {bubbles: true, clientX: +point[0] * matrix.a + matrix.e,
                                                            clientY: +point[1] * matrix.d + matrix.f}));
  out.tip = page.querySelector('.tip').textContent.replace('\n', ' / ');
)js";
}

/// Asks a page, in a frame as wide as a phone, for what it measures; the answers become attributes of <body>.
/// `questions` is a script that sees `page` (the document), `inner` (its window) and `out` (the attributes).
/// A frame, because a browser's own window is never this narrow; srcdoc, because that may be looked into.
inline std::string frame_around(const std::string& page, int width, const std::string& questions) {
  return "<!DOCTYPE html><meta charset=\"utf-8\"><body><iframe width=\"" + std::to_string(width) +
         "\" height=\"844\" style=\"border:0\" srcdoc=\"" + escape_html(page) + R"html("></iframe><script>
window.addEventListener('load', function () {
  var inner = document.querySelector('iframe').contentWindow, page = inner.document, out = document.body.dataset;
  function count(what) { return page.querySelectorAll(what).length; }
  page.querySelectorAll('details').forEach(function (part) { part.open = true; });
  page.querySelectorAll('.panel').forEach(function (part) { part.style.display = 'block'; });
  out.width = inner.innerWidth;
  out.scrollWidth = page.documentElement.scrollWidth;
  out.sections = count('section');
  out.plots = count('svg.plot:not(.heat)');
  out.lines = count('svg.plot .line');
  out.unnamed = count('svg.plot:not([role="img"]), svg.plot:not([aria-label])');
  out.requests = inner.performance.getEntriesByType('resource').length;
)html" + questions +
         "});\n</script></body>";
}

}  // namespace foresight
