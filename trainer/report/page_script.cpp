#include "trainer/report/page.h"

namespace foresight {
namespace {

constexpr const char* kTip = R"js(
  var tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.appendChild(tip);
  function hide() { tip.hidden = true; }
  function show(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    var width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = Math.max(4, Math.min(x + 14, window.innerWidth - width - 4)) + 'px';
    tip.style.top = (y - height - 12 < 4 ? y + 18 : y - height - 12) + 'px';
  }
  function pointsOf(svg) {
    var points = [];
    svg.querySelectorAll('[data-p]').forEach(function (series) {
      series.dataset.p.split(';').forEach(function (entry) {
        var part = entry.split(' ');
        points.push({x: +part[0], y: +part[1], text: series.dataset.name + '\n' + part[2] + ': ' + part[3]});
      });
    });
    return points;
  }
)js";

constexpr const char* kPictureScript = R"js(
  document.querySelectorAll('svg.plot').forEach(function (svg) {
    var title = svg.querySelector('title'), points = pointsOf(svg);
    if (title) title.remove();  // aria-label stays; the browser's own tooltip would cover ours
    if (points.length === 0) return;
    var ring = document.createElementNS(svg.namespaceURI, 'circle');
    ring.setAttribute('class', 'hover');
    ring.setAttribute('r', 6);
    function leave() { hide(); ring.remove(); }
    svg.addEventListener('pointermove', function (event) {
      var matrix = svg.getScreenCTM(), best = null, least = 32 * 32;
      points.forEach(function (point) {
        var dx = point.x * matrix.a + matrix.e - event.clientX, dy = point.y * matrix.d + matrix.f - event.clientY;
        if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = point; }
      });
      if (!best) { leave(); return; }
      ring.setAttribute('cx', best.x);
      ring.setAttribute('cy', best.y);
      svg.appendChild(ring);
      show(best.text, event.clientX, event.clientY);
    });
    svg.addEventListener('pointerleave', leave);
  });
  document.querySelectorAll('svg.heat').forEach(function (svg) {
    svg.addEventListener('pointermove', function (event) {
      if (event.target.dataset.t) show(event.target.dataset.t, event.clientX, event.clientY); else hide();
    });
    svg.addEventListener('pointerleave', hide);
  });
  document.querySelectorAll('.tokens').forEach(function (box) {
    var shares = box.dataset.shares.split(' '), spans = Array.prototype.slice.call(box.children);
    box.addEventListener('pointermove', function (event) {
      var index = spans.indexOf(event.target);
      if (index < 0) { hide(); return; }
      show('token ' + index + '\nheld by ' + shares[index] + ' %', event.clientX, event.clientY);
    });
    box.addEventListener('pointerleave', hide);
  });
})();
)js";

}  // namespace

// Tooltips only: the page says the same without them.
std::string page_script() {
  return std::string("(function () {\n  'use strict';") + kTip + kPictureScript;
}

}  // namespace foresight
