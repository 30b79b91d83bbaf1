#include "tests/training/newest_checkpoint.h"
#include "trainer/training/checkpoint_folder.h"

#include <cmath>
#include <limits>

#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
#include "trainer/base/manifest.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

void write(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

void publish(CheckpointStore& store, std::int64_t step, std::optional<double> metric = {},
             const std::string& content = "weights") {
  write(store.begin(step) / "scorer", content);
  store.publish(step, {{"kind", "test"}}, metric);
}

std::vector<std::int64_t> steps_in(const fs::path& root) {
  std::vector<std::int64_t> steps;
  for (const CheckpointFacts& checkpoint : list_checkpoints(root)) steps.push_back(checkpoint.step);
  return steps;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

using Steps = std::vector<std::int64_t>;

TEST_CASE("checkpoints: one appears whole, with its facts, when it is published") {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "run/checkpoints", 2, 1);
  CHECK_FALSE(store.newest());
  CHECK_FALSE(store.best());
  const fs::path staging = store.begin(120);
  write(staging / "scorer", "weights");
  CHECK_FALSE(store.newest());
  store.publish(120, {{"config_hash", "abc"}}, 0.25);
  CHECK(store.newest() == store.root() / "step-000120");
  CHECK(store.best() == store.newest());
  CHECK_FALSE(fs::exists(staging));
  CHECK(content_of(*store.newest() / "scorer") == "weights");
  const auto facts = read_manifest(*store.newest());
  CHECK(facts == nlohmann::json{{"config_hash", "abc"}, {"step", 120}, {"metric", 0.25}});
  const auto listed = list_checkpoints(store.root());
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].step == 120);
  CHECK(listed[0].metric == 0.25);
  CHECK(listed[0].folder == *store.newest());
  CHECK(listed[0].facts == facts);
}

TEST_CASE("checkpoints: the newest and the best are kept, over resumed runs too") {
  const TemporaryFolder folder;
  const std::vector<std::optional<double>> metrics = {0.5, 0.1, 0.3, std::nullopt, 0.2, 0.1};
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    CheckpointStore store(folder.path(), 2, 1);  // a new process each time
    publish(store, static_cast<std::int64_t>(i + 1) * 10, metrics[i]);
  }
  CHECK(steps_in(folder.path()) == Steps{20, 50, 60});
  CHECK(best_checkpoint(folder.path()) == folder / "step-000020");  // of equal ones the earlier
  CHECK(newest_checkpoint(folder.path()) == folder / "step-000060");
  CHECK(entries(folder.path()) == 3);
}

TEST_CASE("checkpoints: several best ones, none, and steps beyond six digits") {
  const TemporaryFolder folder;
  {
    CheckpointStore store(folder / "a", 1, 2);
    for (const auto& [step, metric] : {std::pair{1, 0.1}, {2, 0.4}, {3, 0.2}, {4, 0.3}, {1234567, 0.9}}) {
      publish(store, step, metric);
    }
    CHECK(steps_in(store.root()) == Steps{1, 3, 1234567});
    CHECK(store.newest() == store.root() / "step-1234567");
  }
  CheckpointStore store(folder / "b", 1, 0);
  publish(store, 0, 0.1);
  CHECK(store.newest() == store.root() / "step-000000");
  publish(store, 1, 0.2);
  CHECK(steps_in(store.root()) == Steps{1});
}

TEST_CASE("checkpoints: where none has a metric the newest is the best") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 3, 1);
  publish(store, 1);
  publish(store, 2);
  CHECK(store.best() == folder / "step-000002");
  publish(store, 3, 9.0);
  CHECK(store.best() == folder / "step-000003");
}

TEST_CASE("checkpoints: a damaged one is skipped for the newest whole one") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 5, 1);
  for (const std::int64_t step : {1, 2, 3, 4}) publish(store, step, static_cast<double>(10 - step));
  write(folder / "step-000004" / "scorer", "weighty");
  CHECK(newest_checkpoint(folder.path()) == folder / "step-000003");
  CHECK(best_checkpoint(folder.path()) == folder / "step-000003");
  fs::remove(folder / "step-000003" / "scorer");
  CHECK(newest_checkpoint(folder.path()) == folder / "step-000002");
  write(folder / "step-000002" / "extra", "");
  CHECK(newest_checkpoint(folder.path()) == folder / "step-000001");
  fs::remove(folder / "step-000001" / kManifestName);
  CHECK_FALSE(newest_checkpoint(folder.path()));
  CHECK_FALSE(best_checkpoint(folder.path()));
}

TEST_CASE("checkpoints: a store lists the folder once, and follows what it publishes and removes") {
  const TemporaryFolder folder;
  {
    CheckpointStore before(folder.path(), 9, 0);
    for (const std::int64_t step : {1, 2, 3}) publish(before, step, 0.5);
  }
  CheckpointStore store(folder.path(), 9, 1);
  const auto followed = [&] {
    const std::vector<CheckpointFacts> listed = list_checkpoints(folder.path());
    REQUIRE(store.checkpoints().size() == listed.size());
    for (std::size_t i = 0; i < listed.size(); ++i) {
      CHECK(store.checkpoints()[i].step == listed[i].step);
      CHECK(store.checkpoints()[i].folder == listed[i].folder);
      CHECK(store.checkpoints()[i].metric == listed[i].metric);
      CHECK(store.checkpoints()[i].facts == listed[i].facts);
    }
  };
  followed();
  publish(store, 5, 0.25);
  publish(store, 4);         // between two
  publish(store, 2, 0.125);  // again, with another metric
  followed();
  CHECK(store.newest() == newest_checkpoint(folder.path()));
  CHECK(store.best() == folder / "step-000002");
  store.remove_after(3);
  followed();
  CHECK(store.newest() == folder / "step-000003");
  CheckpointStore few(folder.path(), 1, 0);
  CHECK(few.checkpoints().size() == 3);
  few.trim();
  CHECK(few.checkpoints().size() == 1);
  // Changes by others are seen by the next store.
  write(folder / "step-000003/scorer", "damaged");
  CHECK(few.newest() == folder / "step-000003");
  CHECK_FALSE(CheckpointStore(folder.path(), 1, 0).newest());
}

TEST_CASE("checkpoints: one is read from any folder, unless its facts are strange") {
  const TemporaryFolder folder;
  CheckpointStore store(folder / "a", 1, 0);
  publish(store, 3, 0.5);
  fs::rename(folder / "a/step-000003", folder / "kept");
  const CheckpointFacts facts = read_checkpoint(folder / "kept");
  CHECK(facts.step == 3);
  CHECK(facts.metric == 0.5);
  CHECK(facts.folder == folder / "kept");
  const auto fault = [&](const nlohmann::json& strange) {
    write_manifest(folder / "kept", strange);
    return error_of(ErrorKind::kInput, [&] { read_checkpoint(folder / "kept"); });
  };
  CHECK_THAT(fault({{"kind", "test"}}), Contains("kept/manifest.json: expected a whole number as step"));
  CHECK_THAT(fault({{"step", "3"}}), Contains("expected a whole number as step"));
  CHECK_THAT(fault({{"step", 3}, {"metric", "good"}}), Contains("expected a number or null as metric"));
}

TEST_CASE("checkpoints: a manifest of another step or with a strange metric counts as damaged") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 5, 1);
  publish(store, 1, 0.5);
  fs::copy(folder / "step-000001", folder / "step-000002", fs::copy_options::recursive);
  fs::create_directory(folder / "step-000003");
  write_manifest(folder / "step-000003", {{"step", 3}, {"metric", "good"}});
  fs::create_directory(folder / "step-000004");
  write_manifest(folder / "step-000004", {{"other", 3}});
  CHECK(steps_in(folder.path()) == Steps{1});
}

TEST_CASE("checkpoints: other names in the folder are left alone and count for nothing") {
  const TemporaryFolder folder;
  for (const char* name : {"step-12", "step-00012x", "notes", "step-0000012"})
    fs::create_directory(folder / name);
  CheckpointStore store(folder.path(), 1, 0);
  publish(store, 5);
  publish(store, 6);
  CHECK(steps_in(folder.path()) == Steps{6});
  CHECK(entries(folder.path()) == 5);
  CHECK(list_checkpoints(folder / "missing").empty());
  CHECK_FALSE(newest_checkpoint(folder / "missing"));
}

TEST_CASE("checkpoints: publishing a step again replaces it, and begin alone does not") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 3, 1);
  publish(store, 7, 0.5, "first");
  write(store.begin(7) / "scorer", "half");
  CHECK(content_of(folder / "step-000007/scorer") == "first");
  write(store.begin(7) / "other", "second");
  store.publish(7, nlohmann::json::object(), 0.4);
  CHECK_FALSE(fs::exists(folder / "step-000007/scorer"));
  CHECK(content_of(folder / "step-000007/other") == "second");
  CHECK(list_checkpoints(folder.path())[0].metric == 0.4);
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("checkpoints: those beyond the limits go, when a run was interrupted before it removed them") {
  const TemporaryFolder folder;
  CheckpointStore before(folder.path(), 9, 0);
  for (const auto& [step, metric] : {std::pair{1, 0.3}, {2, 0.1}, {3, 0.2}, {4, 0.4}}) {
    publish(before, step, metric);
  }
  CheckpointStore store(folder.path(), 1, 1);
  CHECK(steps_in(folder.path()) == Steps{1, 2, 3, 4});
  store.trim();
  CHECK(steps_in(folder.path()) == Steps{2, 4});
  CHECK(entries(folder.path()) == 2);
}

TEST_CASE("checkpoints: what an interrupted run left is cleared, and a half replaced one comes back") {
  const TemporaryFolder folder;
  {
    CheckpointStore store(folder.path(), 3, 1);
    publish(store, 1);
    publish(store, 2);
    write(store.begin(3) / "scorer", "half");
  }
  fs::create_directories(folder / ".trash-step-000000/deep");
  fs::rename(folder / "step-000002", folder / ".replaced-step-000002");
  fs::copy(folder / "step-000001", folder / ".replaced-step-000001", fs::copy_options::recursive);
  CHECK(steps_in(folder.path()) == Steps{1});
  CheckpointStore store(folder.path(), 3, 1);
  CHECK(steps_in(folder.path()) == Steps{1, 2});
  CHECK(entries(folder.path()) == 2);
}

TEST_CASE("checkpoints: the one just published is never removed, even below older steps") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1, 0);
  publish(store, 100);
  publish(store, 50);
  CHECK(steps_in(folder.path()) == Steps{50, 100});
  write(folder / "step-000100/scorer", "damaged");
  publish(store, 60);
  store.remove_after(50);
  CHECK(steps_in(folder.path()).empty());  // 50 went when 60 came
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("checkpoints: later steps are removed on request, damaged ones too") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 9, 0);
  for (const std::int64_t step : {1, 2, 3, 4}) publish(store, step);
  write(folder / "step-000004/scorer", "damaged");
  store.remove_after(2);
  CHECK(steps_in(folder.path()) == Steps{1, 2});
  CHECK(entries(folder.path()) == 2);
}

TEST_CASE("checkpoints: wrong use is the caller's fault and publishes nothing") {
  const TemporaryFolder folder;
  const auto fault = [](auto action, ErrorKind kind = ErrorKind::kInternal) {
    return error_of(kind, action);
  };
  CHECK_THAT(fault([&] { CheckpointStore store(folder.path(), 0, 0); }), Contains("keep_last is 0"));
  CHECK_THAT(fault([&] { CheckpointStore store(folder.path(), 1, -1); }), Contains("keep_best -1"));
  CheckpointStore store(folder.path(), 1, 0);
  CHECK_THAT(fault([&] { store.begin(-1); }), Contains("step -1"));
  CHECK_THAT(fault([&] { store.publish(1, {}); }), Contains("without begin()"));
  store.begin(1);
  CHECK_THAT(fault([&] { store.publish(1, 3); }), Contains("not a JSON object"));
  CHECK_THAT(fault([&] { store.publish(1, {{"text", "\xff"}}); }), Contains("manifest.json"));
  const nlohmann::json facts = nlohmann::json::object();
  CHECK_THAT(fault([&] { store.publish(1, facts, std::nan("")); }, ErrorKind::kNumeric),
             Contains("metric is nan"));
  CHECK_THAT(
      fault([&] { store.publish(1, facts, std::numeric_limits<double>::infinity()); }, ErrorKind::kNumeric),
      Contains("metric is inf"));
  CHECK_FALSE(store.newest());
}

TEST_CASE("checkpoints: only names that the store gives are cleared away") {
  const TemporaryFolder folder;
  const std::vector<std::string> ours = {".trash-step-000001", ".replaced-step-000002",
                                         "step-000003.foresight.partial"},
                                 others = {".trash-mine",    ".replaced-mine",        "step-by-step.partial",
                                           "step-3.partial", "step-000003.partial.d", "my-step-000003"};
  for (const auto& names : {ours, others}) {
    for (const std::string& name : names) fs::create_directories(folder / concat("root/", name, "/deep"));
  }
  fs::create_directories(folder / "root/step-000002");  // else the replaced one comes back
  const CheckpointStore store(folder / "root", 1, 0);
  for (const std::string& name : ours) CHECK_FALSE(fs::exists(folder / concat("root/", name)));
  for (const std::string& name : others) CHECK(fs::exists(folder / concat("root/", name, "/deep")));
}

TEST_CASE("checkpoints: a folder that cannot be made or written is a resource error") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("file", "x");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { CheckpointStore store(file / "checkpoints", 1, 0); }),
             Contains("cannot create"));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { list_checkpoints(file); }), Contains("cannot list"));
  CheckpointStore store(folder / "root", 1, 0);
  publish(store, 1);
  write(store.begin(1) / "scorer", "new");
  fs::remove_all(folder / "root/step-000001.foresight.partial");
  folder.write("root/step-000001.foresight.partial", "a file in the way");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { store.publish(1, nlohmann::json::object()); }),
             Contains("step-000001.foresight.partial"));
  CHECK(store.newest() == folder / "root/step-000001");
  {
    const FileSizeLimit limit(10);
    store.begin(2);
    CHECK_THAT(error_of(ErrorKind::kResource, [&] { store.publish(2, nlohmann::json::object()); }),
               Contains("manifest.json"));
  }
  CHECK(steps_in(store.root()) == Steps{1});
  fs::remove_all(store.root());
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { store.begin(3); }), Contains("cannot create"));
}

}  // namespace
}  // namespace foresight
