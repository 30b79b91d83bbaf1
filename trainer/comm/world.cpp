#include "trainer/comm/world.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/comm/mpi_world.h"

namespace foresight {
namespace {

class WorldOfOne final : public World {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  const std::string& host(int /*rank*/) const override { return host_; }
  std::vector<std::string> all_gather(const std::string& mine, const char* /*what*/) override {
    return {mine};
  }
  void sum(std::span<float> /*values*/, const char* /*what*/) override {}
  DeviceGroup* devices(int /*device*/) override { return nullptr; }
  void tick() override {}
  void set_silence_limit(double /*seconds*/) override {}
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  std::string host_ = "this host";
};

/// The number in an environment variable; 0 if it has none.
long number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtol(text, nullptr, 10);
}

}  // namespace

std::string World::broadcast(const std::string& value, const char* what) {
  return all_gather(leads() ? value : std::string(), what).front();
}

std::vector<bool> World::broadcast_flags(const std::vector<bool>& flags, const char* what) {
  std::string text;
  for (const bool flag : flags) text += flag ? '1' : '0';
  std::vector<bool> leads;
  for (const char flag : broadcast(text, what)) leads.push_back(flag == '1');
  return leads;
}

bool World::any(bool mine, const char* what) {
  const auto all = all_gather(mine ? "1" : "0", what);
  return std::any_of(all.begin(), all.end(), [](const std::string& each) { return each == "1"; });
}

void World::barrier(const char* what) {
  all_gather({}, what);
}

std::vector<std::string> share_units(World& world, const std::vector<int>& rank_of,
                                     const std::vector<std::string>& own, const char* what) {
  const auto owned = std::count(rank_of.begin(), rank_of.end(), world.rank());
  if (owned != static_cast<std::ptrdiff_t>(own.size())) {
    throw Error(ErrorKind::kInternal,
                concat(what, ": rank ", world.rank(), " gives ", own.size(), " units of ", owned));
  }
  if (world.size() == 1) return own;
  std::string mine;  // each unit after its size
  for (const std::string& unit : own) {
    const std::uint64_t size = unit.size();
    mine.append(reinterpret_cast<const char*>(&size), sizeof(size));
    mine += unit;
  }
  const std::vector<std::string> all = world.all_gather(mine, what);
  std::vector<std::size_t> read(all.size(), 0);
  std::vector<std::string> units;
  for (const int rank : rank_of) {
    const std::string& bytes = all.at(static_cast<std::size_t>(rank));
    std::size_t& at = read[static_cast<std::size_t>(rank)];
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + at, sizeof(size));
    units.push_back(bytes.substr(at + sizeof(size), size));
    at += sizeof(size) + size;
  }
  return units;
}

std::vector<std::string> map_units(World& world, const std::vector<std::int64_t>& costs,
                                   const std::function<std::string(std::size_t unit)>& work,
                                   const char* what) {
  const std::vector<int> rank_of = deal(costs, world.size());
  std::vector<std::string> own;
  for (std::size_t unit = 0; unit < costs.size(); ++unit) {
    if (rank_of[unit] != world.rank()) continue;
    own.push_back(work(unit));
    world.tick();
  }
  return share_units(world, rank_of, own, what);
}

World& alone() {
  static WorldOfOne world;
  return world;
}

bool started_with_others() {
  // Open MPI; MPICH and Slurm's PMI; Slurm with PMIx, which counts the step's tasks.
  if (number_in("OMPI_COMM_WORLD_SIZE") > 1 || number_in("PMI_SIZE") > 1) return true;
  return std::getenv("PMIX_RANK") != nullptr && number_in("SLURM_STEP_NUM_TASKS") > 1;
}

std::string mpi_version() {
#ifdef FORESIGHT_WITH_MPI
  return mpi_library_version();
#else
  return {};
#endif
}

std::unique_ptr<World> join_world() {
  if (!started_with_others()) return std::make_unique<WorldOfOne>();
#ifdef FORESIGHT_WITH_MPI
  return join_mpi_world();
#else
  throw Error(ErrorKind::kConfig,
              "several processes were started (mpirun or srun), and this build has no MPI: install "
              "libopenmpi-dev and build again, or start one process");
#endif
}

std::vector<int> deal(const std::vector<std::int64_t>& costs, int ranks) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<std::int64_t> loads(static_cast<std::size_t>(ranks), 0);
  std::vector<int> rank_of(costs.size());
  for (const std::size_t item : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += costs[item];
    rank_of[item] = static_cast<int>(least - loads.begin());
  }
  return rank_of;
}

}  // namespace foresight
