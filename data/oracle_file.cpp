#include "data/oracle_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

/// The index in "train-000003.h5" for the split "train"; nothing for any other name.
std::optional<std::int64_t> index_of(const std::string& name, const std::string& split) {
  constexpr std::string_view kEnding = ".h5";
  const std::string start = split + "-";
  if (!name.starts_with(start) || !name.ends_with(kEnding)) return std::nullopt;
  if (name.size() < start.size() + kEnding.size()) return std::nullopt;
  const std::string digits = name.substr(start.size(), name.size() - start.size() - kEnding.size());
  const auto is_digit = [](unsigned char letter) { return std::isdigit(letter) != 0; };
  if (digits.size() < 6 || digits.size() > 18 || !std::all_of(digits.begin(), digits.end(), is_digit)) {
    return std::nullopt;
  }
  return std::stoll(digits);
}

}  // namespace

void require_same_source(const OracleReader& reader, const std::string& model_fingerprint,
                         const std::string& tokenizer_fingerprint) {
  const auto require = [&reader](const char* what, const std::string& recorded, const std::string& given) {
    if (recorded == given) return;
    throw Error(ErrorKind::kInput, concat(reader.path().string(), ": recorded with the ", what, " ",
                                          one_line(recorded), ", but this run uses the ", what, " ", given,
                                          "; record the oracle again or use the same model folder"));
  };
  require("model", reader.provenance().model_fingerprint, model_fingerprint);
  require("tokenizer", reader.provenance().tokenizer_fingerprint, tokenizer_fingerprint);
}

std::vector<fs::path> oracle_files(const fs::path& folder, const std::string& split) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code error;
  if (!fs::exists(folder, error)) return {};
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const auto index = index_of(entry->path().filename().string(), split);
    if (index) found.emplace_back(*index, entry->path());
  }
  if (error) {
    throw Error(ErrorKind::kInput,
                concat("cannot list the oracle folder ", folder.string(), ": ", error.message()));
  }
  std::sort(found.begin(), found.end());
  std::vector<fs::path> files;
  for (auto& [index, path] : found) files.push_back(std::move(path));
  return files;
}

fs::path oracle_file_path(const fs::path& folder, const std::string& split, std::int64_t index) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%06lld", static_cast<long long>(index));
  return folder / concat(split, "-", digits.data(), ".h5");
}

}  // namespace foresight
