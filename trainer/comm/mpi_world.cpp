#include "trainer/comm/mpi_world.h"

#ifdef FORESIGHT_WITH_MPI

#define OMPI_SKIP_MPICXX 1  // the C++ bindings were removed from the MPI standard
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <string_view>
#include <thread>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kDefaultSilenceLimit_s = 600;
/// The others wait for rank 0 a little longer, so that it names the silent rank, unless it is silent itself.
constexpr double kGrace_s = 5;
constexpr std::chrono::milliseconds kMostBetweenTicks{1000};
/// Bytes that all ranks together move in one call, whose counts are ints.
constexpr std::int64_t kMostBytes = std::int64_t{1} << 30;

void check(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw Error(ErrorKind::kPeer, concat("MPI failed in '", what,
                                       "': ", std::string(text.data(), static_cast<std::size_t>(length)),
                                       "; the output of mpirun or srun says more"));
}

/// When a rank began to wait for others, and when it last checked them.
struct WaitTimes {
  Clock::time_point began = Clock::now(), last_look = began;
};

class MpiWorld final : public World {
 public:
  MpiWorld();
  ~MpiWorld() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  const std::string& host(int rank) const override { return hosts_.at(static_cast<std::size_t>(rank)); }
  std::vector<std::string> all_gather(const std::string& mine, const char* what) override;
  void sum(std::span<float> values, const char* what) override;
  DeviceGroup* devices(int device) override;
  void tick() override;
  void set_silence_limit(double seconds) override { silence_limit_s_ = seconds; }
  [[noreturn]] void abort(int exit_code) override;

 private:
  /// Waits for a collective and tells the others meanwhile that this rank is alive.
  void wait(MPI_Request& request, const char* what);
  /// Ticks, listens, and throws when a peer has been silent for too long.
  void stay_alive(WaitTimes& times, const char* what);
  void listen();

  MPI_Comm data_ = MPI_COMM_NULL, health_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  std::vector<std::string> hosts_;
  double silence_limit_s_ = kDefaultSilenceLimit_s;
  // Rank 0 hears from all, the others from rank 0: 2 (size - 1) messages a tick instead of its square.
  std::vector<int> peers_;
  std::vector<Clock::time_point> heard_;  // by peer
  std::vector<MPI_Request> sent_;         // by peer: the last tick
  std::unique_ptr<DeviceGroup> devices_;
  char pulse_ = 1;
  Clock::time_point ticked_;
};

MpiWorld::MpiWorld() {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "start");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &data_), "start");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &health_), "start");
  MPI_Comm_set_errhandler(data_, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(health_, MPI_ERRORS_RETURN);
  check(MPI_Comm_rank(data_, &rank_), "start");
  check(MPI_Comm_size(data_, &size_), "start");
  MPI_Comm local = MPI_COMM_NULL;
  check(MPI_Comm_split_type(data_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local), "start");
  MPI_Comm_rank(local, &local_rank_);
  MPI_Comm_size(local, &local_size_);
  MPI_Comm_free(&local);
  if (rank_ == 0) {
    for (int peer = 1; peer < size_; ++peer) peers_.push_back(peer);
  } else {
    peers_.push_back(0);
  }
  hosts_.assign(static_cast<std::size_t>(size_), "an unknown host");
  heard_.assign(peers_.size(), Clock::now());
  sent_.assign(peers_.size(), MPI_REQUEST_NULL);
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check(MPI_Get_processor_name(name.data(), &length), "start");
  hosts_ = all_gather(std::string(name.data(), static_cast<std::size_t>(length)), "names of hosts");
}

MpiWorld::~MpiWorld() {
  // No rank may leave while another still listens to it.
  MPI_Barrier(data_);
  for (MPI_Request& request : sent_) {
    if (request != MPI_REQUEST_NULL) MPI_Cancel(&request);
    if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
  }
  listen();
  MPI_Comm_free(&health_);
  MPI_Comm_free(&data_);
  MPI_Finalize();
}

std::vector<std::string> MpiWorld::all_gather(const std::string& mine, const char* what) {
  // Sizes and the collective's name: ranks in different collectives would misread each other's bytes.
  const std::array<std::int64_t, 2> head = {static_cast<std::int64_t>(mine.size()),
                                            static_cast<std::int64_t>(std::hash<std::string_view>{}(what))};
  std::vector<std::int64_t> heads(2 * static_cast<std::size_t>(size_));
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(head.data(), 2, MPI_INT64_T, heads.data(), 2, MPI_INT64_T, data_, &request), what);
  wait(request, what);
  std::vector<std::string> all(static_cast<std::size_t>(size_));
  std::int64_t longest = 0;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (heads[2 * r + 1] != head[1]) {
      throw Error(ErrorKind::kInternal, concat("rank ", r, " is in another collective than '", what, "'"));
    }
    longest = std::max(longest, heads[2 * r]);
    all[r].resize(static_cast<std::size_t>(heads[2 * r]));
  }
  const std::int64_t piece = kMostBytes / size_;
  for (std::int64_t begin = 0; begin < longest; begin += piece) {
    std::vector<int> counts, offsets;
    int total = 0;
    for (const std::string& each : all) {
      const std::int64_t left = static_cast<std::int64_t>(each.size()) - begin;
      counts.push_back(static_cast<int>(std::clamp<std::int64_t>(left, 0, piece)));
      offsets.push_back(total);
      total += counts.back();
    }
    std::string received(static_cast<std::size_t>(total), '\0');
    const char* source = counts[static_cast<std::size_t>(rank_)] > 0 ? mine.data() + begin : mine.data();
    check(MPI_Iallgatherv(source, counts[static_cast<std::size_t>(rank_)], MPI_BYTE, received.data(),
                          counts.data(), offsets.data(), MPI_BYTE, data_, &request),
          what);
    wait(request, what);
    for (std::size_t r = 0; r < all.size(); ++r) {
      std::copy_n(received.data() + offsets[r], counts[r], all[r].begin() + (counts[r] > 0 ? begin : 0));
    }
  }
  return all;
}

void MpiWorld::sum(std::span<float> values, const char* what) {
  constexpr std::size_t kMostFloats = std::size_t{1} << 28;
  for (std::size_t begin = 0; begin < values.size(); begin += kMostFloats) {
    const std::size_t count = std::min(kMostFloats, values.size() - begin);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data() + begin, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                         data_, &request),
          what);
    wait(request, what);
  }
}

DeviceGroup* MpiWorld::devices(int device) {
  if (!has_nccl()) return nullptr;
  if (devices_) return devices_.get();
  const std::string id = broadcast(leads() ? new_device_group_id() : std::string(), "group of devices");
  devices_ = join_device_group(id, rank_, size_, device,
                               [this, times = WaitTimes()]() mutable { stay_alive(times, "NCCL"); });
  return devices_.get();
}

void MpiWorld::tick() {
  const auto now = Clock::now();
  const std::chrono::duration<double> quarter(silence_limit_s_ / 4);
  if (now - ticked_ < std::min<std::chrono::duration<double>>(kMostBetweenTicks, quarter)) return;
  ticked_ = now;
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    int sent = 1;
    if (sent_[i] != MPI_REQUEST_NULL) MPI_Test(&sent_[i], &sent, MPI_STATUS_IGNORE);
    if (sent != 0) MPI_Isend(&pulse_, 1, MPI_CHAR, peers_[i], 0, health_, &sent_[i]);
  }
}

void MpiWorld::listen() {
  const auto now = Clock::now();
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    int waiting = 1;
    while (MPI_Iprobe(peers_[i], 0, health_, &waiting, MPI_STATUS_IGNORE) == MPI_SUCCESS && waiting != 0) {
      char pulse = 0;
      MPI_Recv(&pulse, 1, MPI_CHAR, peers_[i], 0, health_, MPI_STATUS_IGNORE);
      heard_[i] = now;
    }
  }
}

void MpiWorld::stay_alive(WaitTimes& times, const char* what) {
  tick();
  listen();
  // A rank that did not listen for long, or was stopped, heard nobody and cannot blame the others.
  const auto now = Clock::now();
  if (std::chrono::duration<double>(now - times.last_look).count() > silence_limit_s_ / 2) times.began = now;
  times.last_look = now;
  const double limit_s = silence_limit_s_ + (rank_ == 0 ? 0 : kGrace_s);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    const std::chrono::duration<double> silence = now - std::max(heard_[i], times.began);
    if (silence.count() < limit_s) continue;
    throw Error(
        ErrorKind::kPeer,
        concat(
            "rank ", peers_[i], " on ", host(peers_[i]), " has been silent for ",
            static_cast<std::int64_t>(silence.count()), " s (runtime.silence_limit_s) while rank ", rank_,
            " waits for it in '", what,
            "': it hangs or its host is lost; check that host, then run the same command again to resume"));
  }
}

void MpiWorld::wait(MPI_Request& request, const char* what) {
  WaitTimes times;
  constexpr int kBusyTests = 200;  // most waits are short
  constexpr std::chrono::microseconds kPause{200};
  for (int tests = 0;; ++tests) {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
    if (done != 0) return;
    if (tests < kBusyTests) {
      std::this_thread::yield();
      continue;
    }
    std::this_thread::sleep_for(kPause);  // other ranks may need this core
    stay_alive(times, what);
  }
}

void MpiWorld::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace

std::unique_ptr<World> join_mpi_world() {
  return std::make_unique<MpiWorld>();
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);  // may be called before MPI_Init
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

}  // namespace foresight

#endif
