#include "trainer/training/metrics.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

TEST_CASE("metrics: rows stand one a line, in order of their keys, as soon as they are appended") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "new/metrics.jsonl");
  CHECK(log.path() == folder / "new/metrics.jsonl");
  CHECK(log.offset() == 0);
  log.append({{"step", 1}, {"loss", 0.1}, {"a", "x\ny"}});
  CHECK(content_of(log.path()) == "{\"step\":1,\"loss\":0.1,\"a\":\"x\\ny\"}\n");
  log.append({{"step", 2}, {"loss", std::nan("")}, {"norm", std::numeric_limits<double>::infinity()}});
  CHECK(content_of(log.path()) ==
        "{\"step\":1,\"loss\":0.1,\"a\":\"x\\ny\"}\n{\"step\":2,\"loss\":null,\"norm\":null}\n");
  CHECK(log.offset() == static_cast<std::int64_t>(fs::file_size(log.path())));
}

TEST_CASE("metrics: a resumed log continues after the checkpoint's rows, each step once") {
  const TemporaryFolder folder;
  const fs::path path = folder / "metrics.jsonl";
  std::int64_t checkpoint = 0;
  std::string straight;
  {
    MetricsLog log(path);
    for (int step = 1; step <= 5; ++step) {
      log.append({{"step", step}});
      if (step == 3) checkpoint = log.offset();
    }
    straight = content_of(path);
  }
  {
    MetricsLog log(path, checkpoint);
    CHECK(log.offset() == checkpoint);
    for (int step = 4; step <= 5; ++step) log.append({{"step", step}});
  }
  CHECK(content_of(path) == straight);
  MetricsLog log(path, 0);
  CHECK(content_of(path).empty());
}

TEST_CASE("metrics: half a row left by a crash is cut off") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("metrics.jsonl", "{\"step\":1}\n{\"st");
  MetricsLog log(path, 11);
  log.append({{"step", 2}});
  CHECK(content_of(path) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("metrics: the end of the complete rows is found, whatever a crash left behind them") {
  const TemporaryFolder folder;
  CHECK(end_of_rows(folder / "none.jsonl") == 0);
  CHECK(end_of_rows(folder.write("empty.jsonl", "")) == 0);
  CHECK(end_of_rows(folder.write("half.jsonl", "{\"a\"")) == 0);
  CHECK(end_of_rows(folder.write("rows.jsonl", "{}\n{\"a\":1}\n")) == 11);
  CHECK(end_of_rows(folder.write("more.jsonl", "{}\n{\"a\":1}\n{\"b")) == 11);
}

TEST_CASE("metrics: a path that is no plain file is a resource error that says what failed") {
  const TemporaryFolder folder;
  const int sealed = ::memfd_create("rows", MFD_ALLOW_SEALING);  // a file that may not become shorter
  REQUIRE(::write(sealed, "{}\n", 3) == 3);
  REQUIRE(::fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  const fs::path file = "/proc/self/fd/" + std::to_string(sealed);
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { MetricsLog log(file); }),
             Contains("cannot cut back " + file.string()));
  ::close(sealed);
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { MetricsLog log(pipe, 10); }),
             Contains("cannot read the size of") && Contains("pipe"));
}

TEST_CASE("metrics: a log without an offset starts empty") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("metrics.jsonl", "{\"step\":1}\n");
  MetricsLog log(path);
  CHECK(content_of(path).empty());
}

TEST_CASE("metrics: a file that is not the checkpoint's is refused, a deleted one is recreated") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("metrics.jsonl", "{\"step\":1}\n");
  const auto fault = [&](std::int64_t offset) {
    return error_of(ErrorKind::kInput, [&] { MetricsLog log(path, offset); });
  };
  CHECK_THAT(fault(12), Contains("metrics.jsonl") && Contains("row to end at byte 12, the file holds 11"));
  CHECK_THAT(fault(5), Contains("the middle of a row"));
  CHECK_THAT(fault(-1), Contains("byte -1"));
  CHECK(content_of(path) == "{\"step\":1}\n");
  fs::remove(path);
  MetricsLog log(path, 11);
  CHECK(log.offset() == 0);
}

TEST_CASE("metrics: rows that are no JSON objects are the caller's fault") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  CHECK_THAT(error_of(ErrorKind::kInternal, [&] { log.append(nlohmann::ordered_json::array({1})); }),
             Contains("a row must be an object"));
  CHECK_THAT(error_of(ErrorKind::kInternal,
                      [&] {
                        log.append({{"text", "\xff"}});
                      }),
             Contains("not valid JSON"));
  CHECK(log.offset() == 0);
}

TEST_CASE("metrics: a full disk is a resource error and leaves whole rows only") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.append({{"step", 1}});
  {
    const FileSizeLimit limit(20);
    CHECK_THAT(error_of(ErrorKind::kResource,
                        [&] {
                          log.append({{"step", 2}, {"text", std::string(50, 'x')}});
                        }),
               Contains("cannot write") && Contains("metrics.jsonl"));
  }
  log.append({{"step", 2}});
  CHECK(content_of(log.path()) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("metrics: a path that cannot be written is a resource error") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("file", "x");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { MetricsLog log(file / "metrics.jsonl"); }),
             Contains("cannot create folder"));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { MetricsLog log(folder.path()); }), Contains("cannot open"));
}

}  // namespace
}  // namespace foresight
