// `foresight doctor` as a user calls it.
#include <nlohmann/json.hpp>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/program/run_program.h"

namespace foresight {
namespace {

using Catch::Contains;

TEST_CASE("doctor: the exit code is 4 with a fault and 0 without one", "[program]") {
  const TemporaryFolder folder;
  const ProgramResult good = run_program({"doctor", folder.path().string(), "--json"});
  INFO(good.out);
  CHECK(good.exit_code == 0);
  const auto json = nlohmann::json::parse(good.out);
  CHECK(json.at("faults") == 0);
  std::vector<std::string> subjects;
  for (const auto& finding : json.at("findings")) subjects.push_back(finding.at("subject"));
  for (const char* subject :
       {"build", "libraries", "processor", "threads", "memory", "GPU", "ranks", "limits", "folder"})
    CHECK_THAT(subjects, Catch::VectorContains(std::string(subject)));
  const std::string file = folder.write("file", "").string();
  const ProgramResult bad = run_program({"doctor", file});
  CHECK(bad.exit_code == 4);
  CHECK_THAT(bad.out, Contains("fault    folder") && Contains("is a file") && Contains("1 faults"));
  CHECK_THAT(bad.err, Contains("doctor: 1 fault on this machine"));
}

}  // namespace
}  // namespace foresight
