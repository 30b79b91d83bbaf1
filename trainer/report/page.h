// The frame of the report's page: style, script, headings.
#pragma once

#include <string>
#include <vector>

namespace foresight {

/// A part of the page. One with an empty body is left out.
struct PageSection {
  std::string id, heading, body;  ///< id and heading plain, body HTML
};

/// A whole HTML document. It loads nothing: a policy in its head forbids that. `title` is plain, `lead` HTML
/// that stands below it, `foot` HTML at the end.
std::string html_page(const std::string& title, const std::string& lead,
                      const std::vector<PageSection>& sections, const std::string& foot);

/// The page's style sheet and script (page_style.cpp, page_script.cpp).
std::string page_style();
std::string page_script();

}  // namespace foresight
