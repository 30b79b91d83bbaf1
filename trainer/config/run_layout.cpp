#include "trainer/config/run_layout.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>

#include "trainer/base/manifest.h"
#include "trainer/config/names.h"

namespace foresight {

namespace fs = std::filesystem;

fs::path RunFolder::stage(Stage of) const {
  return root / to_string(of);
}

std::string checkpoint_name(std::int64_t step) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "step-%06lld", static_cast<long long>(step));
  return name.data();
}

std::optional<std::int64_t> step_of_checkpoint(std::string_view name) {
  constexpr std::string_view kStart = "step-";
  constexpr std::size_t kMostDigits = 18;
  if (!name.starts_with(kStart)) return std::nullopt;
  const std::string digits(name.substr(kStart.size()));
  const bool is_number = digits.find_first_not_of("0123456789") == std::string::npos;
  if (digits.empty() || digits.size() > kMostDigits || !is_number) return std::nullopt;
  const std::int64_t step = std::stoll(digits);
  return checkpoint_name(step) == name ? std::optional(step) : std::nullopt;
}

std::optional<std::int64_t> newest_checkpoint_step(const fs::path& checkpoints) {
  std::optional<std::int64_t> newest;
  std::error_code error;
  for (fs::directory_iterator entry(checkpoints, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const auto step = step_of_checkpoint(entry->path().filename().string());
    std::error_code none;
    if (step && fs::is_regular_file(entry->path() / kManifestName, none))
      newest = std::max(newest.value_or(0), *step);
  }
  return newest;
}

}  // namespace foresight
