// Typed look-ups in a model folder's config.json; every fault names file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace foresight {

/// One config.json. Every function throws Error(kInput) naming file and key.
class ConfigJson {
 public:
  /// Throws Error(kInput) when the file is missing, cannot be read or is no JSON object.
  explicit ConfigJson(const std::filesystem::path& file);

  /// A null value where the key is absent.
  const nlohmann::json& get(const char* key) const;
  bool has(const char* key) const { return !get(key).is_null(); }
  /// An integer from 1 to `largest`; the one without `when_absent` throws where the key is absent.
  std::int64_t count(const char* key, std::int64_t largest) const;
  std::int64_t count(const char* key, std::int64_t largest, std::int64_t when_absent) const;
  /// A positive number of this file.
  double positive(const char* key, double when_absent) const;
  /// `value` as a positive number, `when_absent` where it is null; `name` is how messages call it.
  double positive_value(const nlohmann::json& value, const std::string& name, double when_absent) const;
  /// False where absent.
  bool flag(const char* key) const;
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

  const std::string& file() const { return file_; }
  const nlohmann::json& json() const { return json_; }

 private:
  std::string file_;
  nlohmann::json json_;
};

}  // namespace foresight
