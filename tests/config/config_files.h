// Configurations for the tests of trainer/config.
#pragma once

#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/load.h"

namespace foresight {

/// The least that a configuration needs: four lines.
inline const char* const kMinimalConfig =
    "output: runs/one\n"
    "model: {path: models/small}\n"
    "data:\n"
    "  train: [train.jsonl]\n";

/// Loads `text` as the file run.yaml of a fresh folder.
inline Config load_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_config(folder.write("run.yaml", text), overrides);
}

/// The faults that loading reports, one per line, with the folder of run.yaml cut off; none when it succeeds.
inline std::vector<std::string> faults_of(const std::string& text,
                                          const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  const std::string prefix = folder.path().string() + "/";
  std::vector<std::string> faults;
  try {
    load_config(folder.write("run.yaml", text), overrides);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) return {"an error of another kind"};
    std::string rest = error.what();
    for (std::size_t end = 0; end != std::string::npos; rest = rest.substr(end + 1)) {
      end = rest.find('\n');
      std::string line = rest.substr(0, end);
      if (line.starts_with(prefix)) line = line.substr(prefix.size());
      faults.push_back(line);
      if (end == std::string::npos) break;
    }
  }
  return faults;
}

}  // namespace foresight
