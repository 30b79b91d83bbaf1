#include "trainer/evaluation/training_cost.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"

namespace foresight {
namespace {

/// The numbers under `key` in the rows of a metrics file.
std::vector<double> numbers_of(const std::filesystem::path& file, const std::string& key) {
  std::vector<double> numbers;
  std::ifstream rows(file);
  for (std::string line; std::getline(rows, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object() && row.contains(key) && row[key].is_number())
      numbers.push_back(row[key].get<double>());
  }
  return numbers;
}

double mean(const std::vector<double>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
}

/// The lower median: steps that also saved or evaluated do not raise it.
double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>((numbers.size() - 1) / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

}  // namespace

nlohmann::ordered_json training_cost(const std::filesystem::path& output) {
  nlohmann::ordered_json cost = nlohmann::ordered_json::object();
  const auto add = [&](const char* name, const std::vector<double>& numbers, auto summary) {
    if (!numbers.empty()) cost[name] = summary(numbers);
  };
  const RunFolder run{output};
  const std::filesystem::path oracle = run.metrics_file(Stage::kOracle);
  add("oracle_seconds_per_trace", numbers_of(oracle, "seconds"), mean);
  add("hdf5_bytes_per_trace", numbers_of(oracle, "bytes"), mean);
  for (const Stage stage : kTrainingStages) {
    const std::string name = to_string(stage) + "_seconds_per_step";
    add(name.c_str(), numbers_of(run.metrics_file(stage), "step_time"), median);
  }
  return cost;
}

}  // namespace foresight
