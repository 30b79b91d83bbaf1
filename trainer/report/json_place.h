// A value inside a JSON file that knows where it stands, so that every fault names the file and the key.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace foresight {

/// Numbers by key.
using Scalars = std::map<std::string, double, std::less<>>;

/// Typed access to one value. All accessors throw Error(kInput) "file: key: expected ..., found ..." for a
/// value of another type. A null counts as absent: that is how NaN is written. Does not own the document.
class JsonPlace {
 public:
  /// The root of a document. `file` names it in messages, `remedy` ends them: what the reader can do.
  JsonPlace(const nlohmann::json& value, std::string file, std::string remedy)
      : JsonPlace(value, std::move(file), std::move(remedy), "") {}

  /// The member `key` of an object; nothing when it is absent or null.
  std::optional<JsonPlace> find(const std::string& key) const;
  /// The member `key` of an object, which must be there.
  JsonPlace at(const std::string& key) const;
  /// The members of an object that are not null, by name.
  std::vector<std::pair<std::string, JsonPlace>> members() const;
  /// The items of an array, nulls included.
  std::vector<JsonPlace> items() const;

  /// A number of magnitude below 1e18.
  double number() const;
  /// A whole number from `least` to 1e15.
  std::int64_t whole(std::int64_t least) const;
  std::string text() const;
  bool flag() const;
  /// An array of numbers; null items are NaN.
  std::vector<double> numbers() const;
  /// As numbers(), with exactly `count` items, one for each item of `counted_by`.
  std::vector<double> numbers(std::size_t count, const std::string& counted_by) const;
  std::vector<std::string> texts() const;

  /// The members of an object that are numbers. Those of `required_type` must be numbers where they stand.
  Scalars scalars(const std::vector<std::string>& required_type = {}) const;

  /// Throws Error(kInput) about this place.
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  JsonPlace(const nlohmann::json& value, std::string file, std::string remedy, std::string key)
      : value_(&value), file_(std::move(file)), remedy_(std::move(remedy)), key_(std::move(key)) {}
  [[noreturn]] void fail_type(const std::string& expected) const;
  const nlohmann::json& object() const;

  const nlohmann::json* value_;
  std::string file_, remedy_, key_;
};

}  // namespace foresight
