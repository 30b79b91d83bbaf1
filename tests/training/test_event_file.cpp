#include "trainer/training/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
#include "tests/reference/paths.h"
#include "trainer/training/metrics.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Json = nlohmann::ordered_json;

constexpr const char* kFirstName = "events.out.tfevents.000001.foresight";
constexpr const char* kSecondName = "events.out.tfevents.000002.foresight";
constexpr std::size_t kOpeningRecords = 2;

std::string text_of_bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

/// The first field of every event is wall_time, a double.
double time_of(std::string_view event) {
  double time = 0;
  std::memcpy(&time, event.data() + 1, sizeof time);
  return time;
}

/// The events of a file, of which no byte may be left over.
std::vector<std::string> events_of(const fs::path& file) {
  const std::string content = content_of(file);
  std::vector<std::string> events;
  std::size_t bytes = 0;
  for (const std::string_view payload : tfrecord_payloads(content)) {
    events.emplace_back(payload);
    bytes += tfrecord(payload).size();
  }
  CHECK(bytes == content.size());
  return events;
}

/// Every event file must hold these rows, once each, in order; returns when they were.
std::vector<double> times_of_rows(const fs::path& file, const std::vector<Json>& rows) {
  const std::vector<std::string> events = events_of(file);
  REQUIRE(events.size() == kOpeningRecords + rows.size());
  std::vector<double> times;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string& found = events[kOpeningRecords + i];
    times.push_back(time_of(found));
    CHECK(found == row_event(times.back(), rows[i]));
  }
  return times;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void set_date(const fs::path& file, time_t seconds) {
  const struct timespec times[2] = {{seconds, 0}, {seconds, 500'000'000}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}

Json step_row(int step) {
  return {{"step", step}, {"loss", 1.0 / step}, {"step_time", 0.5}};
}

TEST_CASE("event file: CRC-32C gives the values of RFC 3720, B.4") {
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending += static_cast<char>(i);
    descending += static_cast<char>(31 - i);
  }
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
  CHECK(crc32c(ascending) == 0x46DD794EU);
  CHECK(crc32c(descending) == 0x113FDB5CU);
  // An iSCSI SCSI Read (10) command.
  CHECK(crc32c(text_of_bytes({0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                              0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                              0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0})) == 0xD9963A56U);
  CHECK(crc32c("123456789") == 0xE3069283U);
  CHECK(crc32c("") == 0);
}

TEST_CASE("event file: every byte is the one that TensorBoard's own writer gives") {
  const fs::path reference = reference_folder() / "events";
  const std::string expected = content_of(reference / "events.tfevents");
  const std::vector<std::string_view> events = tfrecord_payloads(expected);
  std::istringstream lines(content_of(reference / "rows.jsonl"));
  std::string line, rows;
  for (std::size_t i = kOpeningRecords; std::getline(lines, line); ++i) {
    const Json example = Json::parse(line);
    REQUIRE(i < events.size());
    INFO(line.substr(0, 100));
    CHECK(row_event(example.at("wall_time").get<double>(), example.at("row")) == events[i]);
    rows += example.at("row").dump() + "\n";
  }
  // The whole file keeps its times: with the same rows there is nothing to change.
  const TemporaryFolder folder;
  fs::create_directory(folder / "tensorboard");
  fs::copy_file(reference / "events.tfevents", folder / "tensorboard" / kFirstName);
  const EventFile file(folder / "tensorboard", folder.write("metrics.jsonl", rows));
  CHECK(names_in(folder / "tensorboard") == std::vector<std::string>{kFirstName});
  CHECK(content_of(file.path()) == expected);
}

TEST_CASE("event file: records are read up to the first that is torn or damaged") {
  const std::string whole = tfrecord("one") + tfrecord("") + tfrecord("three");
  const auto texts = [](const std::string& file) {
    std::vector<std::string> found;
    for (const std::string_view payload : tfrecord_payloads(file)) found.emplace_back(payload);
    return found;
  };
  CHECK(texts(whole) == std::vector<std::string>{"one", "", "three"});
  const std::size_t two = tfrecord("one").size() + tfrecord("").size();
  for (std::size_t length = two; length < whole.size(); ++length)
    CHECK(texts(whole.substr(0, length)) == std::vector<std::string>{"one", ""});
  for (std::size_t byte = two; byte < whole.size(); ++byte) {
    std::string damaged = whole;
    damaged[byte] ^= 1;
    CHECK(texts(damaged) == std::vector<std::string>{"one", ""});
  }
  // A length that would overflow when the frame is added to it.
  std::string huge(8, '\xff');
  const std::string crc = tfrecord(huge).substr(12 + 8, 4);
  CHECK(texts(huge + crc + "more").empty());
}

TEST_CASE("event file: what is no finite float is left out, live as when it is read back") {
  const Json row = {{"step", 3},
                    {"nan", std::nan("")},
                    {"infinite", -std::numeric_limits<double>::infinity()},
                    {"far", 1e39},
                    {"good", 2}};
  CHECK(row_event(1, row) == row_event(1, Json::parse(row.dump())));
  CHECK(row_event(1, row) == row_event(1, {{"step", 3}, {"good", 2}}));
  CHECK(row_event(1, {{"step", 3}}) != row_event(1, {{"step", 3}, {"good", 0}}));
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  CHECK(row_event(1, {{"step", 3}, {"good", 2}, {"deep", deep}}) == row_event(1, {{"step", 3}, {"good", 2}}));
  for (const Json& faulty : {Json({{"loss", 1}}), Json({{"step", "1"}}), Json({{"step", 1.5}})})
    CHECK_THAT(error_of(ErrorKind::kInternal, [&] { row_event(1, faulty); }), Contains("\"step\""));
}

TEST_CASE("event file: rows that are appended are there at once, at the present time") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  const double before = now();
  EventFile file(folder / "new/tensorboard", log.path());
  CHECK(file.path() == folder / "new/tensorboard" / kFirstName);
  CHECK(times_of_rows(file.path(), {}).empty());
  file.append(step_row(1));
  times_of_rows(file.path(), {step_row(1)});
  file.append(step_row(2));
  const std::vector<double> times = times_of_rows(file.path(), {step_row(1), step_row(2)});
  CHECK(before <= times[0]);
  CHECK(times[0] <= times[1]);
  CHECK(times[1] <= now());
}

TEST_CASE("event file: a resumed run shows the steps of its metrics once each, whatever became of the file") {
  const TemporaryFolder folder;
  const fs::path metrics = folder / "metrics.jsonl", events = folder / "tensorboard";
  std::int64_t checkpoint = 0;
  std::vector<double> times;
  {
    MetricsLog log(metrics);
    EventFile file(events, metrics);
    for (int step = 1; step <= 5; ++step) {
      log.append(step_row(step));
      file.append(step_row(step));
      if (step == 3) checkpoint = log.offset();
    }
    times = times_of_rows(file.path(), {step_row(1), step_row(2), step_row(3), step_row(4), step_row(5)});
  }
  const std::string content = content_of(events / kFirstName);
  const std::vector<std::string> left = {content, content.substr(0, content.size() - 7), content + "\x05",
                                         content.substr(0, 40), ""};
  const std::string after_crash = left[GENERATE(0U, 1U, 2U, 3U, 4U)];
  folder.write(std::string("tensorboard/") + kFirstName, after_crash);
  const auto kept = tfrecord_payloads(after_crash).size();
  MetricsLog log(metrics, checkpoint);
  EventFile file(events, metrics);
  CHECK(file.path() == events / kSecondName);
  // A reader of the first file finds its end, and continues with the second.
  CHECK(names_in(events) == std::vector<std::string>{kFirstName, kSecondName});
  CHECK(fs::file_size(events / kFirstName) == 0);
  const std::vector<double> again = times_of_rows(file.path(), {step_row(1), step_row(2), step_row(3)});
  for (std::size_t i = 0; i < again.size(); ++i) {
    if (kOpeningRecords + i < kept) CHECK(again[i] == times[i]);
  }
  for (int step = 4; step <= 5; ++step) {
    log.append(step_row(step));
    file.append(step_row(step));
  }
  times_of_rows(file.path(), {step_row(1), step_row(2), step_row(3), step_row(4), step_row(5)});
}

TEST_CASE("event file: one that already holds the rows is appended to, its bytes unchanged") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  std::string before = content_of(EventFile(folder / "tensorboard", log.path()).path());
  for (int step = 1; step <= 3; ++step) {
    EventFile file(folder / "tensorboard", log.path());
    CHECK(file.path().filename() == kFirstName);
    CHECK(content_of(file.path()) == before);
    log.append(step_row(step));
    file.append(step_row(step));
    before = content_of(file.path());
  }
  times_of_rows(folder / "tensorboard" / kFirstName, {step_row(1), step_row(2), step_row(3)});
}

TEST_CASE("event file: rows of a time without event files get theirs from the file's date and step_time") {
  const TemporaryFolder folder;
  const Json slow = {{"step", 2}, {"loss", 1}, {"step_time", 10}}, none = {{"step", 3}, {"loss", 2}};
  const fs::path metrics =
      folder.write("metrics.jsonl", step_row(1).dump() + "\n" + slow.dump() + "\n" + none.dump() + "\n");
  set_date(metrics, 1795600000);
  const EventFile file(folder / "tensorboard", metrics);
  CHECK(times_of_rows(file.path(), {step_row(1), slow, none}) ==
        std::vector<double>{1795599990.5, 1795600000.5, 1795600000.5});
  CHECK(time_of(events_of(file.path())[0]) == 1795599990.0);
}

TEST_CASE("event file: a run that starts from scratch does not show the other's rows") {
  const TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.append(step_row(1));
  const fs::path first = EventFile(folder / "tensorboard", log.path()).path();
  const MetricsLog anew(folder / "metrics.jsonl");
  const EventFile file(folder / "tensorboard", anew.path());
  CHECK(times_of_rows(file.path(), {}).empty());
  CHECK(content_of(first).empty());
  CHECK(file.path() != first);
}

TEST_CASE("event file: lines that are no rows are left out, and other files are left alone") {
  const TemporaryFolder folder;
  const fs::path metrics =
      folder.write("metrics.jsonl", step_row(1).dump() + "\nhalf a r\n[1]\n{\"loss\":1}\n" +
                                        step_row(2).dump() + "\n{\"step\":3,\"lo");
  fs::create_directory(folder / "tensorboard");
  const std::vector<std::string> others = {"events.out.tfevents.000007.other",
                                           "events.out.tfevents..foresight", "events.out.tfevents.foresight",
                                           "notes"};
  for (const std::string& other : others) folder.write("tensorboard/" + other, "x");
  folder.write("tensorboard/events.out.tfevents.000041.foresight", "no records");
  folder.write("tensorboard/events.out.tfevents.000007.foresight", "");
  const EventFile file(folder / "tensorboard", metrics);
  CHECK(file.path().filename() == "events.out.tfevents.000042.foresight");
  times_of_rows(file.path(), {step_row(1), step_row(2)});
  for (const std::string& other : others) CHECK(content_of(folder / "tensorboard" / other) == "x");
  CHECK(content_of(folder / "tensorboard/events.out.tfevents.000041.foresight").empty());
  CHECK(names_in(folder / "tensorboard").size() == others.size() + 2);
}

TEST_CASE("event file: without metrics it holds no rows") {
  const TemporaryFolder folder;
  CHECK(times_of_rows(EventFile(folder / "tensorboard", folder / "metrics.jsonl").path(), {}).empty());
}

TEST_CASE("event file: what cannot be written is a resource error, and the next start makes the file whole") {
  const TemporaryFolder folder;
  const fs::path file_not_folder = folder.write("file", "x");
  CHECK_THAT(
      error_of(ErrorKind::kResource, [&] { EventFile(file_not_folder / "t", folder / "metrics.jsonl"); }),
      Contains("cannot create folder"));
  fs::create_directories(folder / "held/events.out.tfevents.000003.foresight/inside");
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { EventFile(folder / "held", folder / "metrics.jsonl"); }),
             Contains("000003"));
  MetricsLog log(folder / "metrics.jsonl");
  {
    EventFile file(folder / "tensorboard", log.path());
    const FileSizeLimit limit(fs::file_size(file.path()) + 20);
    CHECK_THAT(error_of(ErrorKind::kResource, [&] { file.append(step_row(1)); }),
               Contains("cannot write") && Contains(kFirstName));
  }
  log.append(step_row(1));
  times_of_rows(EventFile(folder / "tensorboard", log.path()).path(), {step_row(1)});
}

}  // namespace
}  // namespace foresight
