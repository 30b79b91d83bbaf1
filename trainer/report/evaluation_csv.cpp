#include <map>
#include <set>

#include "trainer/base/text.h"
#include "trainer/report/evaluation_data.h"
#include "trainer/report/html.h"
#include "trainer/report/report.h"

namespace foresight {
namespace {

using Row = std::map<std::string, std::string>;  // column -> field, not yet quoted

const std::vector<std::string> kFirstColumns = {"budget", "window", "first_scored", "policy"};

/// RFC 4180: a field with a comma, a quote or a line break stands in quotes, its quotes doubled.
std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string out = "\"";
  for (const char c : field) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

/// Adds the numbers, flags and texts of an object, those of objects in it as "outer.inner"; arrays are left
/// out.
void add_scalars(const nlohmann::json& object, const std::string& prefix, Row& row) {
  for (const auto& [key, value] : object.items()) {
    const std::string column = prefix + key;
    if (value.is_object()) {
      add_scalars(value, column + ".", row);
    } else if (value.is_number_integer()) {
      row[column] = value.dump();
    } else if (value.is_number()) {
      row[column] = format_exact(value.get<double>());
    } else if (value.is_boolean()) {
      row[column] = value.get<bool>() ? "true" : "false";
    } else if (value.is_string()) {
      row[column] = value.get<std::string>();
    }
  }
}

/// Adds what was measured on a policy's own text, at the main budget: recall by distance, continuations,
/// tasks.
void add_generated(const nlohmann::json& evaluation, const std::string& policy, Row& row) {
  const auto member = [&](const char* pointer) -> const nlohmann::json* {
    const nlohmann::json::json_pointer place(pointer);
    if (!evaluation.contains(place)) return nullptr;
    const auto found = evaluation.at(place).find(policy);
    return found == evaluation.at(place).end() ? nullptr : &*found;
  };
  if (const auto* recall = member("/recall/policies")) {
    const nlohmann::json& evictions = evaluation.at("recall").at("evictions");
    for (std::size_t i = 0; i < evictions.size(); ++i) {
      const std::string after = concat("_after_", evictions[i].dump());
      for (const char* key : {"recall", "low", "high", "found"}) {
        const nlohmann::json& value = recall->at(key).at(i);
        const std::string name = std::string(key) == "recall" ? "" : concat(".", key);
        if (value.is_number()) row[concat("recall", name, after)] = format_exact(value.get<double>());
      }
    }
  }
  if (const auto* continued = member("/generation/continued/policies"))
    add_scalars(*continued, "continued.", row);
  if (const auto* tasks = member("/generation/policies")) add_scalars(*tasks, "tasks.", row);
}

void add_rows(const BudgetResult& result, const nlohmann::json& policies, std::vector<Row>& rows) {
  for (const PolicyMeasures& policy : result.policies) {
    Row row;
    add_scalars(policies.at(policy.name), "", row);
    row["budget"] = concat(result.budget);
    row["window"] = concat(result.window);
    row["policy"] = policy.name;
    if (result.first_scored) row["first_scored"] = format_exact(*result.first_scored);
    rows.push_back(std::move(row));
  }
}

/// The columns that any row has: the known ones first, the others by name.
std::vector<std::string> columns_of(const std::vector<Row>& rows) {
  std::set<std::string> present;
  for (const Row& row : rows) {
    for (const auto& [column, field] : row) present.insert(column);
  }
  std::vector<std::string> columns = kFirstColumns;
  for (const std::string& column : kFirstColumns) present.erase(column);
  for (const std::string& column : policy_measure_names()) {
    if (present.erase(column) > 0) columns.push_back(column);
  }
  columns.insert(columns.end(), present.begin(), present.end());
  return columns;
}

}  // namespace

std::string evaluation_csv(const nlohmann::json& evaluation, const std::string& file) {
  const EvaluationData data = read_evaluation(evaluation, file);  // the faults of the document are found here
  std::vector<Row> rows;
  add_rows(data.main, evaluation.at("policies"), rows);
  for (Row& row : rows) add_generated(evaluation, row.at("policy"), row);
  for (std::size_t i = 0; i < data.sweep.size(); ++i)
    add_rows(data.sweep[i], evaluation.at("sweep").at(i).at("policies"), rows);
  const std::vector<std::string> columns = columns_of(rows);
  std::vector<std::string> fields;
  for (const std::string& column : columns) fields.push_back(quoted(column));
  std::string csv = join(fields, ",") + "\r\n";
  for (const Row& row : rows) {
    fields.clear();
    for (const std::string& column : columns) {
      const auto found = row.find(column);
      fields.push_back(found == row.end() ? "" : quoted(found->second));
    }
    csv += join(fields, ",") + "\r\n";
  }
  return csv;
}

}  // namespace foresight
