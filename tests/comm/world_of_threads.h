// Ranks as threads of one process, to test collectives of several ranks without MPI.
#pragma once

#include <barrier>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "trainer/comm/world.h"

namespace foresight {

/// The state that the ranks share.
struct ThreadedRanks {
  explicit ThreadedRanks(int size) : gathered(static_cast<std::size_t>(size)), meeting(size) {}
  std::vector<std::string> gathered;
  std::barrier<> meeting;
};

class WorldOfThreads final : public World {
 public:
  WorldOfThreads(ThreadedRanks& ranks, int rank) : ranks_(&ranks), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_->gathered.size()); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size(); }
  const std::string& host(int /*rank*/) const override { return host_; }
  std::vector<std::string> all_gather(const std::string& mine, const char* /*what*/) override {
    ranks_->gathered[static_cast<std::size_t>(rank_)] = mine;
    ranks_->meeting.arrive_and_wait();
    std::vector<std::string> all = ranks_->gathered;
    ranks_->meeting.arrive_and_wait();
    return all;
  }
  void sum(std::span<float> values, const char* what) override {
    const std::string mine(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    std::fill(values.begin(), values.end(), 0.0F);
    for (const std::string& each : all_gather(mine, what)) {
      const auto* theirs = reinterpret_cast<const float*>(each.data());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += theirs[i];
    }
  }
  DeviceGroup* devices(int /*device*/) override { return nullptr; }
  void tick() override {}
  void set_silence_limit(double /*seconds*/) override {}
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  ThreadedRanks* ranks_;
  int rank_;
  std::string host_ = "thread";
};

/// Calls `work` on `size` ranks at once and checks that it is true on each. It must enter the same
/// collectives on all, and not throw before the last.
inline void run_ranks(int size, const std::function<bool(World&)>& work) {
  ThreadedRanks ranks(size);
  std::vector<char> fulfilled(static_cast<std::size_t>(size), 0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      WorldOfThreads world(ranks, rank);
      fulfilled[static_cast<std::size_t>(rank)] = work(world) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int rank = 0; rank < size; ++rank) {
    INFO("rank " << rank);
    CHECK(fulfilled[static_cast<std::size_t>(rank)] == 1);
  }
}

}  // namespace foresight
