#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "tests/base/child.h"
#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"

namespace foresight {
namespace {

using Catch::Contains;

// The message of the Error(kConfig) that `action` throws; empty when it throws none.
template <class Action>
std::string config_error(Action action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

TEST_CASE("expand_path: variables are replaced wherever they stand") {
  ::setenv("FORESIGHT_TEST_A", "/data", 1);
  ::setenv("FORESIGHT_TEST_EMPTY", "", 1);
  ::setenv("FORESIGHT_TEST_NESTED", "${FORESIGHT_TEST_A}", 1);
  CHECK(expand_path("") == "");
  CHECK(expand_path("plain $HOME $ {x} }") == "plain $HOME $ {x} }");
  CHECK(expand_path("${FORESIGHT_TEST_A}/x${FORESIGHT_TEST_A}") == "/data/x/data");
  CHECK(expand_path("a${FORESIGHT_TEST_EMPTY}b") == "ab");
  CHECK(expand_path("${FORESIGHT_TEST_NESTED}") == "${FORESIGHT_TEST_A}");
}

TEST_CASE("expand_path: an unset variable and a malformed name are config errors") {
  ::unsetenv("FORESIGHT_TEST_UNSET");
  CHECK_THAT(config_error([] { expand_path("a/${FORESIGHT_TEST_UNSET}/b"); }),
             Contains("FORESIGHT_TEST_UNSET is not set"));
  for (const char* text : {"${", "${}", "${A", "${A-B}", "${A${B}}"}) {
    CHECK_THAT(config_error([text] { expand_path(text); }), Contains("expected ${NAME}"));
  }
}

TEST_CASE("expand_path: a name that begins as $NAME is no folder of that name, but a config error") {
  CHECK_THAT(config_error([] { expand_path("$HOME/runs"); }), Contains("\"$HOME/runs\": write ${HOME}"));
  CHECK_THAT(config_error([] { expand_path("/data/$USER_2"); }), Contains("write ${USER_2}"));
  for (const char* text : {"a$HOME", "$", "/$/a", "$-"}) CHECK(expand_path(text) == text);
}

TEST_CASE("expand_path: a leading ~, alone or before a slash, is the home folder, and no other is") {
  const ChildResult result = run_child(
      [] {
        const bool good =
            expand_path("~") == "/home/${x}" && expand_path("~/runs/a") == "/home/${x}/runs/a" &&
            expand_home("~/${y}") == "/home/${x}/${y}" && expand_path("./~") == "./~" &&
            expand_path("a~") == "a~" && expand_path("a/~/b") == "a/~/b" && expand_home("").empty();
        if (!good) ::_exit(3);
      },
      {{"HOME", "/home/${x}"}});
  CHECK(result.exit_status == 0);
}

TEST_CASE("expand_path: the home of another user, and one that is not known, are config errors") {
  CHECK_THAT(config_error([] { expand_path("~ann/x"); }), Contains("\"~ann/x\"") && Contains("or ./~ann/x"));
  CHECK_THAT(config_error([] { expand_home("~x"); }), Contains("another user"));
  const ChildResult result = run_child(
      [] {
        try {
          expand_home("~/x");
        } catch (const Error& error) {
          if (std::string(error.what()).find("HOME is not set") != std::string::npos) ::_exit(42);
        }
      },
      {{"HOME", ""}});
  CHECK(result.exit_status == 42);
}

}  // namespace
}  // namespace foresight
