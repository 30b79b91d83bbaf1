#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/comm/world_of_threads.h"
#include "trainer/base/error.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/world.h"

namespace foresight {
namespace {

TEST_CASE("deal: the most costly go first, each to the rank with the least; ties to the lower rank",
          "[comm]") {
  CHECK(deal({1, 10, 2, 9}, 2) == std::vector<int>{0, 0, 1, 1});  // 10 + 1, 9 + 2
  CHECK(deal({5, 5, 5}, 3) == std::vector<int>{0, 1, 2});
  CHECK(deal({5, 5, 5}, 1) == std::vector<int>{0, 0, 0});
  CHECK(deal({7}, 4) == std::vector<int>{0});
  CHECK(deal({}, 4).empty());
}

TEST_CASE("deal: a rank has at most 4/3 - 1/(3 ranks) of the optimal largest share", "[comm]") {
  // Lengths that differ by 10; the best share is found by trying all assignments.
  const std::vector<std::int64_t> costs = {32, 3, 7, 11, 30, 5, 6, 8};
  constexpr int kRanks = 3;
  const auto largest = [&](const std::vector<int>& rank_of) {
    std::vector<std::int64_t> loads(kRanks, 0);
    for (std::size_t i = 0; i < costs.size(); ++i) loads[static_cast<std::size_t>(rank_of[i])] += costs[i];
    return *std::max_element(loads.begin(), loads.end());
  };
  std::int64_t best = 1000;
  for (int code = 0; code < 6561; ++code) {  // 3^8
    std::vector<int> rank_of;
    for (int rest = code, i = 0; i < 8; ++i, rest /= kRanks) rank_of.push_back(rest % kRanks);
    best = std::min(best, largest(rank_of));
  }
  CHECK(9 * largest(deal(costs, kRanks)) <= 11 * best);
}

TEST_CASE("a world of one: collectives return what they get", "[comm]") {
  World& world = alone();
  CHECK(world.leads());
  CHECK(world.size() == 1);
  CHECK(world.all_gather("a", "test") == std::vector<std::string>{"a"});
  CHECK(world.broadcast("b", "test") == "b");
  CHECK(world.any(true, "test"));
  CHECK_FALSE(world.any(false, "test"));
  CHECK(world.broadcast_flags({true, false}, "test") == std::vector<bool>{true, false});
  std::vector<float> values = {1, 2};
  world.sum(values, "test");
  CHECK(values == std::vector<float>{1, 2});
}

TEST_CASE("broadcast_flags: all ranks get rank 0's flags", "[comm]") {
  run_ranks(3, [](World& world) {
    const std::vector<bool> own = world.leads() ? std::vector<bool>{true, false, true} : std::vector<bool>{};
    return world.broadcast_flags(own, "test") == std::vector<bool>{true, false, true};
  });
}

TEST_CASE("share_units: every rank gets the results of all, by unit", "[comm]") {
  const std::vector<int> rank_of = {2, 0, 1, 0, 2};
  run_ranks(4, [&](World& world) {  // rank 3 has none
    std::vector<std::string> own;
    for (std::size_t u = 0; u < rank_of.size(); ++u) {
      if (rank_of[u] == world.rank()) own.push_back(std::string(u, 'x') + std::to_string(u));  // all lengths
    }
    const auto all = share_units(world, rank_of, own, "test");
    return all == std::vector<std::string>{"0", "x1", "xx2", "xxx3", "xxxx4"};
  });
}

TEST_CASE("files_of_lead: all ranks get what rank 0 finds, once it is there for them", "[comm]") {
  const TemporaryFolder folder;
  const auto late = folder / "late file";
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    folder.write("late file", "x");
  });
  run_ranks(3, [&](World& world) {
    const auto files = files_of_lead(
        world,
        [&]() -> std::vector<std::filesystem::path> {
          if (!world.leads()) return {folder / "of another folder"};
          return {folder.path(), late};
        },
        "test");
    return files == std::vector<std::filesystem::path>{folder.path(), late} &&
           (world.leads() || std::filesystem::exists(late));
  });
  writer.join();
  run_ranks(2, [](World& world) {
    return files_of_lead(
               world, []() -> std::vector<std::filesystem::path> { return {}; }, "test")
        .empty();
  });
}

TEST_CASE("devices: ranks that would share a GPU are named on all ranks, others continue", "[comm]") {
  for (const std::vector<std::string>& shared : {std::vector<std::string>{"a", "b", "a"}, {"c", "c", "c"}}) {
    run_ranks(3, [&](World& world) {
      try {
        require_own_devices(world, shared[static_cast<std::size_t>(world.rank())]);
        return false;
      } catch (const Error& error) {
        const std::string pair = shared[1] == "c" ? "ranks 0 and 1" : "ranks 0 and 2";
        return error.kind() == ErrorKind::kConfig &&
               std::string(error.what()).find(pair + " on thread share one GPU") != std::string::npos;
      }
    });
  }
  for (const std::vector<std::string>& own : {std::vector<std::string>{"a", "b", "c"}, {"", "", ""}}) {
    run_ranks(3, [&](World& world) {
      require_own_devices(world, own[static_cast<std::size_t>(world.rank())]);
      return true;
    });
  }
}

TEST_CASE("share_units: a rank that lost a unit is named", "[comm]") {
  CHECK_THROWS_WITH(share_units(alone(), {0, 0}, {"one"}, "test"),
                    Catch::Contains("rank 0 gives 1 units of 2"));
}

TEST_CASE("map_units: each unit is computed once, on its rank, and all ranks get all of them in order",
          "[comm]") {
  const std::vector<std::int64_t> costs = {3, 9, 1, 5, 5};
  const auto made_of = [](std::size_t unit) { return std::string(unit, 'x') + std::to_string(unit); };
  std::vector<std::string> expected;
  for (std::size_t unit = 0; unit < costs.size(); ++unit) expected.push_back(made_of(unit));
  for (const int size : {1, 2, 4, 7}) {
    std::atomic<int> made = 0;
    run_ranks(size, [&](World& world) {
      std::size_t last = 0;
      bool ascending = true;
      const auto found = map_units(
          world, costs,
          [&](std::size_t unit) {
            ascending = ascending && unit >= last;
            last = unit;
            ++made;
            return made_of(unit);
          },
          "test");
      return ascending && found == expected;
    });
    CHECK(made == 5);
  }
  CHECK(map_units(
            alone(), {}, [](std::size_t) { return std::string(); }, "nothing")
            .empty());
}

}  // namespace
}  // namespace foresight
