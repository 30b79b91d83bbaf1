// The curves of both training stages.
#include "trainer/report/curve_figure.h"
#include "trainer/report/sections.h"

namespace foresight {
namespace {

/// A line of a page about one run, which has no policy's name.
PolicyStyle line_style(const std::string& name, const std::string& css_class, Marker marker) {
  return {name, name, css_class, marker, /*scorer=*/true, /*dashed=*/false};
}

}  // namespace

std::string training_section(const std::vector<MetricsRow>& supervised, const std::vector<MetricsRow>& grpo) {
  using enum Marker;
  const std::string first = "Supervised", second = "Reinforcement learning (GRPO)";
  const PolicyStyle blue = line_style("validation", "p-supervised", kCircle),
                    red = line_style("validation", "p-grpo", kSquare),
                    grey = line_style("rollouts", "p-random", kCircle);
  const std::string supervised_figures =
      curve_figure({.stage = first, .heading = "ranking loss", .unit = "loss", .falls = true},
                   {{line_style("loss", "p-supervised", kCircle), &supervised, "loss"}}) +
      curve_figure({.stage = first, .heading = "oracle overlap", .unit = "share"},
                   {{line_style("oracle overlap", "p-supervised", kCircle), &supervised, "oracle_overlap"}}) +
      curve_figure({.stage = first, .heading = "validation loss rise", .unit = "nats per token"},
                   {{blue, &supervised, "eval_loss_rise", true}});
  const std::string grpo_figures =
      curve_figure({.stage = second, .heading = "reward", .unit = "reward"},
                   {{line_style("reward", "p-grpo", kSquare), &grpo, "reward"}}) +
      curve_figure(
          {.stage = second, .heading = "low-entropy loss rise", .unit = "nats per token"},
          {{grey, &grpo, "low_entropy_loss_rise"}, {red, &grpo, "eval_low_entropy_loss_rise", true}}) +
      curve_figure({.stage = second, .heading = "KL to the start", .unit = "nats"},
                   {{line_style("KL", "p-grpo", kSquare), &grpo, "kl"}});
  return stage_block(first, supervised_figures) + stage_block(second, grpo_figures);
}

}  // namespace foresight
