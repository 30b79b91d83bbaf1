#include "trainer/report/tables.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"

namespace foresight {

std::string html_table(const std::string& caption, const std::vector<std::string>& columns,
                       const std::vector<TableRow>& rows) {
  std::string out =
      concat("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", escape_html(caption),
             "\"><table><caption>", escape_html(caption), "</caption><thead><tr>");
  for (const std::string& column : columns) out += concat("<th scope=\"col\">", column, "</th>");
  out += "</tr></thead><tbody>\n";
  for (const TableRow& row : rows) {
    out +=
        concat("<tr", row.emphasised ? " class=\"scorer\"" : "", "><th scope=\"row\">", row.heading, "</th>");
    for (const std::string& cell : row.cells) out += concat("<td>", cell, "</td>");
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string style_key(const PolicyStyle& style) {
  return concat("<svg class=\"key ", style.css_class, style.scorer ? " scorer" : "",
                style.dashed ? " dashed" : "",
                "\" viewBox=\"0 0 22 12\" aria-hidden=\"true\"><path class=\"line\" d=\"M0 6L22 6\"/>"
                "<path class=\"marker\" d=\"",
                marker_path(style.marker, 11, 6, style.scorer ? 4 : 3.2), "\"/></svg>");
}

std::string style_heading(const PolicyStyle& style) {
  return style_key(style) + escape_html(style.name);
}

std::string scalar_table(const std::string& caption, const std::vector<ScalarColumn>& columns,
                         const std::vector<NamedScalars>& policies, const PolicyStyles& styles) {
  std::vector<std::string> headings = {"policy"};
  std::vector<TableRow> rows;
  for (const NamedScalars& policy : policies)
    rows.push_back({style_heading(styles.of(policy.name)), {}, styles.of(policy.name).scorer});
  for (const ScalarColumn& column : columns) {
    const bool measured = std::any_of(policies.begin(), policies.end(), [&](const NamedScalars& policy) {
      return policy.scalars.contains(column.key);
    });
    if (!measured) continue;
    headings.push_back(escape_html(column.heading));
    for (std::size_t i = 0; i < policies.size(); ++i) {
      const auto found = policies[i].scalars.find(column.key);
      rows[i].cells.push_back(column.format(found == policies[i].scalars.end() ? NAN : found->second));
    }
  }
  return headings.size() > 1 ? html_table(caption, headings, rows) : "";
}

std::string numbers_table(const std::string& caption, const std::string& corner,
                          const std::vector<std::string>& columns, const std::vector<NamedNumbers>& policies,
                          const PolicyStyles& styles, std::string (*format)(double)) {
  std::vector<std::string> headings = {escape_html(corner)};
  for (const std::string& column : columns) headings.push_back(escape_html(column));
  std::vector<TableRow> rows;
  for (const NamedNumbers& policy : policies) {
    rows.push_back({style_heading(styles.of(policy.name)), {}, styles.of(policy.name).scorer});
    for (const double number : policy.numbers) rows.back().cells.push_back(format(number));
  }
  return html_table(caption, headings, rows);
}

std::string interval_cell(const RiseInterval& interval) {
  std::string text = format_signed(interval.loss_rise, 4);
  if (interval.low && interval.high)
    text += concat(" [", format_signed(*interval.low, 4), ", ", format_signed(*interval.high, 4), "]");
  return text + (interval.significant == false ? "<br><small>not significant</small>" : "");
}

std::string folded(const std::string& summary, const std::string& content) {
  return concat("<details><summary>", escape_html(summary), "</summary>\n", content, "</details>\n");
}

std::string note(const std::string& text) {
  return concat("<p class=\"note\">", escape_html(text), "</p>\n");
}

std::string figure(const std::string& heading, const std::string& picture, const std::string& caption) {
  if (picture.empty()) return "";
  return concat("<figure><h3>", escape_html(heading), "</h3>\n", picture,
                caption.empty() ? "" : concat("<figcaption>", escape_html(caption), "</figcaption>"),
                "</figure>\n");
}

std::string choice(const std::string& group, const std::string& legend,
                   const std::vector<std::string>& labels, const std::vector<std::string>& panels) {
  // A button, its label and its panel are neighbours: the style sheet shows the panel of the checked one, and
  // moves all panels below the row of labels.
  std::string out =
      concat("<div class=\"choice\" role=\"group\" aria-label=\"", escape_html(legend), "\">\n");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::string id = concat(group, "-", i);
    out += concat("<input type=\"radio\" name=\"", group, "\" id=\"", id, "\"", i == 0 ? " checked" : "",
                  "><label for=\"", id, "\">", escape_html(labels[i]), "</label>\n<div class=\"panel\">",
                  panels[i], "</div>\n");
  }
  return out + "</div>\n";
}

}  // namespace foresight
