#include "trainer/report/json_place.h"

#include <cmath>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

void JsonPlace::fail(const std::string& problem) const {
  throw Error(ErrorKind::kInput,
              concat(file_, ": ", key_.empty() ? "the document" : key_, ": ", problem, "; ", remedy_));
}

void JsonPlace::fail_type(const std::string& expected) const {
  constexpr std::size_t kShown = 40;
  // A document that was built in memory may hold bytes that are no UTF-8: they are replaced.
  std::string found = value_->dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  if (found.size() > kShown) found = found.substr(0, kShown) + "...";
  fail(concat("expected ", expected, ", found ", found));
}

const nlohmann::json& JsonPlace::object() const {
  if (!value_->is_object()) fail_type("an object");
  return *value_;
}

std::optional<JsonPlace> JsonPlace::find(const std::string& key) const {
  const auto found = object().find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonPlace(*found, file_, remedy_, key_.empty() ? key : concat(key_, ".", key));
}

JsonPlace JsonPlace::at(const std::string& key) const {
  auto found = find(key);
  if (!found) fail(concat("the key \"", key, "\" is missing"));
  return *found;
}

std::vector<std::pair<std::string, JsonPlace>> JsonPlace::members() const {
  std::vector<std::pair<std::string, JsonPlace>> all;
  for (const auto& [key, value] : object().items()) {
    if (auto place = find(key)) all.emplace_back(key, std::move(*place));
  }
  return all;
}

std::vector<JsonPlace> JsonPlace::items() const {
  if (!value_->is_array()) fail_type("an array");
  std::vector<JsonPlace> all;
  all.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i)
    all.push_back(JsonPlace((*value_)[i], file_, remedy_, concat(key_, "[", i, "]")));
  return all;
}

double JsonPlace::number() const {
  if (!value_->is_number()) fail_type("a number");
  const auto number = value_->get<double>();
  if (!(std::fabs(number) < 1e18)) fail_type("a number of magnitude below 1e18");
  return number;
}

std::int64_t JsonPlace::whole(std::int64_t least) const {
  const double found = value_->is_number() ? value_->get<double>() : -1;
  if (!(found >= static_cast<double>(least) && found <= 1e15) || found != std::floor(found))
    fail_type(concat("a whole number, at least ", least));
  return static_cast<std::int64_t>(found);
}

std::string JsonPlace::text() const {
  if (!value_->is_string()) fail_type("text");
  return value_->get<std::string>();
}

bool JsonPlace::flag() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

std::vector<double> JsonPlace::numbers() const {
  std::vector<double> all;
  for (const JsonPlace& item : items())
    all.push_back(item.value_->is_null() ? std::numeric_limits<double>::quiet_NaN() : item.number());
  return all;
}

std::vector<double> JsonPlace::numbers(std::size_t count, const std::string& counted_by) const {
  std::vector<double> all = numbers();
  if (all.size() != count)
    fail(concat("expected ", count, " numbers, one for each of ", counted_by, ", found ", all.size()));
  return all;
}

std::vector<std::string> JsonPlace::texts() const {
  std::vector<std::string> all;
  for (const JsonPlace& item : items()) all.push_back(item.text());
  return all;
}

Scalars JsonPlace::scalars(const std::vector<std::string>& required_type) const {
  Scalars found;
  for (const auto& [key, place] : members()) {
    if (place.value_->is_number()) found[key] = place.number();
  }
  for (const std::string& key : required_type) {
    if (const auto place = find(key)) place->number();
  }
  return found;
}

}  // namespace foresight
