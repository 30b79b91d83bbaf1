// What the policies kept: attention by layer and KV head, and the tokens of one trace.
#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/report/html.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

/// Lower bounds of the classes of attention kept. What matters lies close to 1, so the classes narrow there.
constexpr std::array<double, 7> kHeatClasses = {0.99, 0.98, 0.95, 0.9, 0.8, 0.6, 0.0};

std::size_t heat_class(double share) {
  const auto found =
      std::find_if(kHeatClasses.begin(), kHeatClasses.end(), [&](double bound) { return share >= bound; });
  return std::min<std::size_t>(static_cast<std::size_t>(found - kHeatClasses.begin()),
                               kHeatClasses.size() - 1);
}

std::string heat_key() {
  std::string out = "<p class=\"key-row\"><span>attention kept:</span>";
  for (std::size_t i = 0; i < kHeatClasses.size(); ++i) {
    const std::string bound = format_tick(100 * kHeatClasses[i]);
    const std::string upper = format_tick(100 * kHeatClasses[i == 0 ? 0 : i - 1]);
    out += concat("<span><i class=\"h", i, "\"></i>",
                  i + 1 == kHeatClasses.size() ? concat("below ", upper, "\u00A0%")
                  : i == 0                     ? concat("at least ", bound, "\u00A0%")
                                               : concat(bound, "\u2013", upper, "\u00A0%"),
                  "</span>");
  }
  return out + "</p>\n";
}

/// The model's number of a measured layer.
std::int64_t layer_number(const std::vector<std::int64_t>& numbers, std::size_t layer) {
  return numbers.empty() ? static_cast<std::int64_t>(layer) : numbers.at(layer);
}

std::string heat_rectangles(const std::vector<std::vector<double>>& layers,
                            const std::vector<std::int64_t>& numbers, double left, double cell_width,
                            double cell_height) {
  std::string out;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::size_t head = 0; head < layers[layer].size(); ++head) {
      const double share = layers[layer][head];
      const std::string css = std::isnan(share) ? "hx" : concat("h", heat_class(share));
      out += concat(
          "<rect class=\"", css, "\" x=\"", format_coordinate(left + static_cast<double>(layer) * cell_width),
          "\" y=\"", format_coordinate(6 + static_cast<double>(head) * cell_height), "\" width=\"",
          format_coordinate(cell_width), "\" height=\"", format_coordinate(cell_height), "\" data-t=\"layer ",
          layer_number(numbers, layer), ", KV head ", head, ": ", format_percent(share), "\"/>");
    }
  }
  return out;
}

std::string heat_map(const PolicyMeasures& policy, const std::string& name,
                     const std::vector<std::int64_t>& numbers) {
  const std::vector<std::vector<double>>& layers = policy.attention_kept_by_head;
  const auto layer_count = static_cast<double>(layers.size());
  const auto head_count = static_cast<double>(layers.front().size());
  const double left = 52, width = 480, cell_width = (width - left - 4) / layer_count;
  const double cell_height = std::clamp(110 / head_count, 9.0, 28.0), bottom = 6 + head_count * cell_height;
  const std::string title = "Attention kept by layer and KV head: " + name;
  std::string out =
      concat("<svg class=\"plot heat\" role=\"img\" viewBox=\"0 0 480 ", format_coordinate(bottom + 42),
             "\" aria-label=\"", escape_html(title), "\"><title>", escape_html(title), "</title>",
             heat_rectangles(layers, numbers, left, cell_width, cell_height), "<g class=\"grid\">");
  const auto label_every = [](double count, double size, double room) {
    std::size_t every = 1;
    while (static_cast<double>(every) * size < room && static_cast<double>(every) < count) every *= 2;
    return every;
  };
  for (std::size_t layer = 0; layer < layers.size(); layer += label_every(layer_count, cell_width, 24)) {
    out += concat("<text text-anchor=\"middle\" x=\"",
                  format_coordinate(left + (static_cast<double>(layer) + 0.5) * cell_width), "\" y=\"",
                  format_coordinate(bottom + 16), "\">", layer_number(numbers, layer), "</text>");
  }
  for (std::size_t head = 0; head < layers.front().size(); head += label_every(head_count, cell_height, 15)) {
    out += concat("<text text-anchor=\"end\" x=\"", format_coordinate(left - 7), "\" y=\"",
                  format_coordinate(10 + (static_cast<double>(head) + 0.5) * cell_height), "\">", head,
                  "</text>");
  }
  out += concat("<text class=\"name\" text-anchor=\"middle\" x=\"266\" y=\"", format_coordinate(bottom + 35),
                "\">layer</text><text class=\"name\" transform=\"translate(14 ",
                format_coordinate(3 + bottom / 2),
                ") rotate(-90)\" text-anchor=\"middle\">KV head</text></g></svg>\n");
  return out;
}

/// Mean and least share, for readers without colours.
std::string heat_summary(const std::vector<std::vector<double>>& layers,
                         const std::vector<std::int64_t>& numbers) {
  double sum = 0, least = INFINITY;
  std::size_t count = 0, worst_layer = 0, worst_head = 0;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::size_t head = 0; head < layers[layer].size(); ++head) {
      const double share = layers[layer][head];
      if (std::isnan(share)) continue;
      sum += share;
      ++count;
      if (share < least) {
        least = share;
        worst_layer = layer;
        worst_head = head;
      }
    }
  }
  if (count == 0) return "";
  return note(concat("Mean ", format_percent(sum / static_cast<double>(count)), "; least ",
                     format_percent(least), " in layer ", layer_number(numbers, worst_layer), ", KV head ",
                     worst_head, "."));
}

/// Which layers of the model evict, where not all do.
std::string evicting_note(const std::vector<std::int64_t>& numbers) {
  if (numbers.empty()) return "";
  const bool one = numbers.size() == 1;
  return note(concat(one ? "Layer " : "Layers ", join(numbers, ", "), " of the model ",
                     one ? "evicts" : "evict",
                     ". The others see a window of the text and are never evicted from."));
}

/// A token as it reads in running text: white space stays, a line's end is marked.
std::string token_html(const std::string& token) {
  std::string out;
  for (const char c : token) {
    if (c == '\n') {
      out += "\u21B5\n";
    } else {
      out += c;
    }
  }
  return escape_html(out);
}

/// The tokens with their shades. Their shares stand once in data-shares, in per cent, for the tooltip.
std::string token_panel(const std::vector<std::string>& tokens, const std::vector<double>& shares) {
  std::string spans, list;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool known = !std::isnan(shares[i]);
    const double share = known ? std::clamp(shares[i], 0.0, 1.0) : 0;
    spans += concat("<span class=\"", known ? concat("k", std::lround(10 * share)) : "kx", "\">",
                    token_html(tokens[i]), "</span>");
    list += concat(i == 0 ? "" : " ", known ? concat(std::lround(100 * share)) : "?");
  }
  return concat("<div class=\"tokens\" data-shares=\"", list, "\">", spans, "</div>");
}

std::string token_key() {
  std::string out = "<p class=\"key-row\"><span>held by:</span>";
  for (int step = 0; step <= 10; step += 2)
    out += concat("<span><i class=\"k", step, "\"></i>", 10 * step, "\u00A0%</span>");
  return out + "<span>of all (layer, KV head) pairs</span></p>\n";
}

/// The first policy is the one that is shown until another is chosen: that of the last training stage.
template <class Named>
void put_scorers_first(std::vector<Named>& policies) {
  for (const Stage stage : kTrainingStages) {
    std::stable_partition(policies.begin(), policies.end(),
                          [&](const Named& policy) { return policy.name == to_string(stage); });
  }
}

}  // namespace

std::string heads_section(const EvaluationData& data) {
  std::vector<PolicyMeasures> measured;
  for (const PolicyMeasures& policy : data.main.policies) {
    if (!policy.attention_kept_by_head.empty()) measured.push_back(policy);
  }
  if (measured.empty()) return "";
  put_scorers_first(measured);
  std::vector<std::string> labels, panels;
  for (const PolicyMeasures& policy : measured) {
    labels.push_back(data.styles.of(policy.name).name);
    panels.push_back(heat_map(policy, labels.back(), data.evicting_layers) +
                     heat_summary(policy.attention_kept_by_head, data.evicting_layers));
  }
  return note(
             "Share of the attention under full KV that falls on entries still held, mean over steps. All "
             "policies share "
             "one scale, whose classes narrow towards 100 %.") +
         evicting_note(data.evicting_layers) + choice("heads", "Policy", labels, panels) + heat_key();
}

std::string tokens_section(const EvaluationData& data) {
  if (!data.token_view || data.token_view->policies.empty() || data.token_view->tokens.empty()) return "";
  const TokenView& view = *data.token_view;
  std::vector<NamedNumbers> policies = view.policies;
  put_scorers_first(policies);
  std::vector<std::string> labels, panels;
  for (const NamedNumbers& policy : policies) {
    labels.push_back(data.styles.of(policy.name).name);
    panels.push_back(token_panel(view.tokens, policy.numbers));
  }
  return note(concat(
             view.trace.empty() ? "One trace" : concat("Trace ", view.trace),
             " after its last eviction: the stronger a token's shade, the more heads still hold it.")) +
         token_key() + choice("tokens", "Policy", labels, panels);
}

}  // namespace foresight
