#include "trainer/report/page.h"

#include "trainer/base/text.h"
#include "trainer/report/html.h"

namespace foresight {

std::string html_page(const std::string& title, const std::string& lead,
                      const std::vector<PageSection>& sections, const std::string& foot) {
  std::string links, bodies;
  for (const PageSection& section : sections) {
    if (section.body.empty()) continue;
    links += concat("<a href=\"#", section.id, "\">", escape_html(section.heading), "</a>\n");
    bodies += concat("<section id=\"", section.id, "\">\n<h2>", escape_html(section.heading), "</h2>\n",
                     section.body, "</section>\n");
  }
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
      escape_html(title), "</title>\n<style>", page_style(), "</style>\n</head>\n<body>\n<header>\n<h1>",
      escape_html(title), "</h1>\n", lead, "</header>\n<nav aria-label=\"Contents\">\n", links,
      "</nav>\n<main>\n", bodies, "</main>\n<footer>\n", foot, "</footer>\n<script>", page_script(),
      "</script>\n</body>\n</html>\n");
}

}  // namespace foresight
