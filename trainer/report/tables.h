// Tables of the report's page.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/evaluation_data.h"
#include "trainer/report/policy_style.h"

namespace foresight {

/// A row: its heading and its cells, all HTML, one cell for each column after the first.
struct TableRow {
  std::string heading;
  std::vector<std::string> cells;
  bool emphasised = false;
};

/// A table that scrolls inside its own box when it is too wide. `columns` are HTML, the first names the
/// rows'. `caption` is plain text for readers that do not see the page.
std::string html_table(const std::string& caption, const std::vector<std::string>& columns,
                       const std::vector<TableRow>& rows);

/// The line and marker of a style, as its lines have them in the plots.
std::string style_key(const PolicyStyle& style);

/// The name of a style with the mark that its lines have in the plots.
std::string style_heading(const PolicyStyle& style);

/// How a scalar of a policy is shown in a column.
struct ScalarColumn {
  std::string key;                ///< in Scalars
  std::string heading;            ///< plain text
  std::string (*format)(double);  ///< text of a value; NaN for a missing one
};

/// A table of policies; columns that no policy has a number for are left out. Empty when none is left.
std::string scalar_table(const std::string& caption, const std::vector<ScalarColumn>& columns,
                         const std::vector<NamedScalars>& policies, const PolicyStyles& styles);

/// The numbers of policies, one column for each of `columns`.
std::string numbers_table(const std::string& caption, const std::string& corner,
                          const std::vector<std::string>& columns, const std::vector<NamedNumbers>& policies,
                          const PolicyStyles& styles, std::string (*format)(double));

/// "-0.0178 [-0.0221, -0.0139]"; an interval that holds zero is said to be not significant.
std::string interval_cell(const RiseInterval& interval);

/// `content` behind a line that unfolds it.
std::string folded(const std::string& summary, const std::string& content);

/// A paragraph of explanation; `text` is plain.
std::string note(const std::string& text);

/// A plot or heat map with its heading and caption, both plain text. Empty when `picture` is.
std::string figure(const std::string& heading, const std::string& picture, const std::string& caption);

/// Panels of which one is shown, chosen by radio buttons that work without scripts. `labels` are plain text.
/// `group` is unique in the page; `legend` says what is chosen.
std::string choice(const std::string& group, const std::string& legend,
                   const std::vector<std::string>& labels, const std::vector<std::string>& panels);

}  // namespace foresight
