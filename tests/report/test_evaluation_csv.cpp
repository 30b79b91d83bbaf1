#include <map>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/report/fixture.h"
#include "trainer/report/report.h"

namespace foresight {
namespace {

/// RFC 4180 read back, independently of the writer: every row by column.
std::vector<std::map<std::string, std::string>> parse_csv(const std::string& csv) {
  std::vector<std::vector<std::string>> lines(1, std::vector<std::string>(1));
  bool in_quotes = false;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    std::string& field = lines.back().back();
    if (in_quotes) {
      if (csv[i] != '"') {
        field += csv[i];
      } else if (csv.substr(i, 2) == "\"\"") {
        field += csv[i++];
      } else {
        in_quotes = false;
      }
    } else if (csv[i] == '"') {
      in_quotes = true;
    } else if (csv[i] == ',') {
      lines.back().emplace_back();
    } else if (csv.substr(i, 2) == "\r\n") {
      lines.emplace_back(1);
      ++i;
    } else {
      field += csv[i];
    }
  }
  REQUIRE(lines.back() == std::vector<std::string>(1));  // the last line ends too
  lines.pop_back();
  std::vector<std::map<std::string, std::string>> rows;
  for (std::size_t row = 1; row < lines.size(); ++row) {
    REQUIRE(lines[row].size() == lines[0].size());
    rows.emplace_back();
    for (std::size_t i = 0; i < lines[0].size(); ++i) rows.back()[lines[0][i]] = lines[row][i];
  }
  return rows;
}

TEST_CASE("report csv: every number of every budget and policy comes back") {
  const nlohmann::json evaluation = fixture_evaluation();
  const auto rows = parse_csv(evaluation_csv(evaluation));
  const std::size_t policies = evaluation["policies"].size();
  REQUIRE(rows.size() == policies * (1 + evaluation["sweep"].size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const nlohmann::json& result = i < policies ? evaluation : evaluation["sweep"][i / policies - 1];
    CHECK(rows[i].at("budget") == std::to_string(result["budget"].get<int>()));
    CHECK(rows[i].at("first_scored") == (i < policies ? "" : "545"));
    for (const auto& [key, value] : result["policies"][rows[i].at("policy")].items()) {
      if (value.is_number()) CHECK(std::stod(rows[i].at(key)) == value.get<double>());
    }
  }
  CHECK(rows[0].at("policy") == "full");
  CHECK(rows[0].at("difference.low").empty());
  CHECK(rows[3].at("policy") == "grpo");
  CHECK(std::stod(rows[3].at("difference.low")) ==
        evaluation["policies"]["grpo"]["difference"]["low"].get<double>());
  CHECK(rows[3].at("difference.significant") == "true");
  const nlohmann::json& recall = evaluation["recall"]["policies"]["grpo"];
  CHECK(std::stod(rows[3].at("recall_after_39")) == recall["recall"][2].get<double>());
  CHECK(std::stod(rows[3].at("recall.low_after_3")) == recall["low"][0].get<double>());
  CHECK(std::stod(rows[3].at("continued.equal_share")) ==
        evaluation["generation"]["continued"]["policies"]["grpo"]["equal_share"].get<double>());
  CHECK(std::stod(rows[3].at("tasks.greedy_truncation_rate")) == 0.1);
  CHECK(rows[policies].at("tasks.accuracy").empty());  // the sweep generates nothing
  for (const auto& row : rows) {
    if (row.at("policy") == "random") CHECK(row.at("recall_after_57").empty());  // null
  }
}

TEST_CASE("report csv: text with commas, quotes and line breaks comes back") {
  nlohmann::json evaluation = small_evaluation();
  const std::string name = "a, \"b\"\r\nc.safetensors";
  evaluation["policies"][name] = {{"loss", 0.1}, {"later_measure", 2}, {"note", "x,y"}};
  const auto rows = parse_csv(evaluation_csv(evaluation));
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].at("policy") == name);
  CHECK(rows[1].at("loss") == "0.1");
  CHECK(rows[1].at("later_measure") == "2");
  CHECK(rows[1].at("note") == "x,y");
  CHECK(rows[0].at("note").empty());
}

}  // namespace
}  // namespace foresight
