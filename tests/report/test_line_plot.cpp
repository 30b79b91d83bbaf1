#include "trainer/report/line_plot.h"

#include <cmath>
#include <set>

#include "tests/catch.h"
#include "tests/report/fixture.h"

namespace foresight {
namespace {

using Catch::Contains;

LinePlot plot_of(const std::vector<PlotPoint>& points) {
  return {.title = "T <1>", .description = "D & d", .series = {{policy_style("h2o"), points}}};
}

TEST_CASE("report plot: a named image with a line, its markers, its label and its points' values") {
  const std::string svg = svg_line_plot(plot_of({{1, 0.5}, {2, 0.25}, {3, 0.125}}));
  CHECK_THAT(svg, Contains("role=\"img\"") && Contains("<title>T &lt;1&gt;</title>") &&
                      Contains("aria-label=\"T &lt;1&gt;. D &amp; d\""));
  CHECK_THAT(svg, Contains("class=\"series p-h2o\" data-name=\"H2O\"") && Contains(">H2O</text>"));
  CHECK_THAT(svg, Contains(" 2 0.25;") && Contains("class=\"marker\""));
  CHECK(occurrences(svg, "class=\"line\"") == 1);
}

TEST_CASE("report plot: a missing value leaves a gap") {
  const std::string svg = svg_line_plot(plot_of({{1, 1}, {2, 2}, {3, NAN}, {4, 4}, {5, 5}}));
  const std::size_t from = svg.find("class=\"line\" d=\"") + 16;
  const std::string path = svg.substr(from, svg.find('"', from) - from);
  CHECK(occurrences(path, "M") == 2);
  CHECK(occurrences(path, "L") == 2);
}

TEST_CASE("report plot: nothing to show is no plot") {
  CHECK(svg_line_plot(plot_of({})).empty());
  CHECK(svg_line_plot(plot_of({{1, NAN}})).empty());
  CHECK(svg_line_plot({}).empty());
}

TEST_CASE("report plot: labels of lines that end together do not cover each other") {
  LinePlot plot;
  for (const std::string& policy : known_policies())
    plot.series.push_back({policy_style(policy), {{1, 1}, {2, 1}}});
  const std::string svg = svg_line_plot(plot);
  std::vector<double> places;
  const std::string labels = svg.substr(svg.find("class=\"labels\""));
  for (std::size_t at = labels.find(" y=\""); at != std::string::npos; at = labels.find(" y=\"", at + 1))
    places.push_back(std::stod(labels.substr(at + 4)));
  REQUIRE(places.size() == known_policies().size());
  for (std::size_t i = 1; i < places.size(); ++i) CHECK(places[i] - places[i - 1] >= 14.9);
  CHECK(places.front() > 0);
  CHECK(places.back() < plot.height);
}

TEST_CASE("report policies: names as readers know them, and scorers' files by their last folder") {
  CHECK(policy_style("grpo").name == "supervised + RL");
  CHECK(policy_style("rkv").name == "R-KV");
  CHECK(policy_style("streaming_llm").name == "StreamingLLM");
  CHECK(policy_style("/a/b/step-10/scorer.safetensors").name == "step-10/scorer.safetensors");
  CHECK(policy_style("scorer.safetensors").name == "scorer.safetensors");
  CHECK(policy_style("scorer.safetensors").scorer);
  CHECK(policy_style("äääääääääääää").label == "äää\u2026äää");
}

TEST_CASE("report policies: files that stand together show what differs, and have different marks") {
  const std::vector<std::string> files = {"runs/one/exports/supervised.safetensors",
                                          "runs/two/exports/supervised.safetensors",
                                          "runs/two/exports/grpo.safetensors"};
  const PolicyStyles styles({"full", files[0], files[1], files[2], files[0]});
  CHECK(styles.of(files[0]).name == "one/exports/supervised.safetensors");
  CHECK(styles.of(files[1]).name == "two/exports/supervised.safetensors");
  CHECK(styles.of(files[2]).name == "two/exports/grpo.safetensors");
  CHECK(styles.of(files[0]).label == "one/exp\u2026ervised");
  CHECK(styles.of(files[0]).label != styles.of(files[1]).label);
  CHECK((styles.of(files[0]).marker != styles.of(files[1]).marker));
  CHECK(styles.of("rkv").name == "R-KV");
  CHECK(styles.of("a/b/other.safetensors").name == "b/other.safetensors");
}

TEST_CASE("report policies: each of ten runs has a colour of its own, and later ones are dashed") {
  std::set<std::string> colours;
  for (std::size_t run = 0; run < 10; ++run) colours.insert(run_style(run, "a").css_class);
  CHECK(colours.size() == 10);
  CHECK(colours.contains(run_style(10, "k").css_class));
  CHECK_FALSE(run_style(9, "j").dashed);
  CHECK(run_style(10, "k").dashed);
}

}  // namespace
}  // namespace foresight
