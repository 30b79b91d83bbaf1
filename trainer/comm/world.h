// The processes ("ranks") of one job: who they are, what they tell one another, and how they end together.
// MPI starts them (mpirun, srun); a process that nothing started is a world of one and needs no MPI.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/comm/device_group.h"

namespace foresight {

/// What all ranks of a job share. Every collective is entered by all ranks in the same order and by the
/// thread that joined; `what` names it in messages. While a rank waits in one it tells the others that it
/// lives, and throws Error(kPeer) naming rank and host of one that it has not heard from for the time limit.
/// A rank that throws must call abort(): the others would wait for it.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// This rank among those of its host, and how many they are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  /// Name of a rank's host.
  virtual const std::string& host(int rank) const = 0;
  /// The rank that writes what is written once: checkpoints, metrics, the log.
  bool leads() const { return rank() == 0; }

  /// What every rank gave, by rank. Sizes may differ. Throws Error(kPeer), and Error(kInternal) where ranks
  /// have entered different collectives.
  virtual std::vector<std::string> all_gather(const std::string& mine, const char* what) = 0;
  /// Replaces `values` by their sums over all ranks. The order of summation is the library's: where bytes
  /// must not depend on the number of ranks, gather and sum in an order of your own.
  virtual void sum(std::span<float> values, const char* what) = 0;
  /// NCCL among the ranks, on this rank's GPU: made at the first call, which is a collective. Null in a world
  /// of one and in builds without NCCL. Ranks have a GPU each (require_own_devices()). Throws Error(kPeer)
  /// when NCCL fails.
  virtual DeviceGroup* devices(int device) = 0;
  /// Rank 0's value, on all ranks.
  std::string broadcast(const std::string& value, const char* what);
  /// Rank 0's verdicts, on all ranks, so that all take the same way.
  std::vector<bool> broadcast_flags(const std::vector<bool>& flags, const char* what);
  /// True everywhere when it is true on any rank.
  bool any(bool mine, const char* what);
  /// Returns once all ranks are here.
  void barrier(const char* what);

  /// Tells the others that this rank lives; cheap, to be called often in long work. Throws nothing.
  virtual void tick() = 0;
  /// How long a rank may be silent, in seconds.
  virtual void set_silence_limit(double seconds) = 0;

  /// Ends the whole job with this exit code, now: every rank, wherever it is. A world of one only exits.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// What was made of units of work that were dealt to ranks (`rank_of` by unit): each rank gives what it made
/// of its own units, in ascending order, and gets that of all, by unit. Throws like World::all_gather, and
/// Error(kInternal) when `own` has not one entry for each of this rank's units.
std::vector<std::string> share_units(World& world, const std::vector<int>& rank_of,
                                     const std::vector<std::string>& own, const char* what);

/// Units of work of these costs, dealt to ranks: each rank makes its own in ascending order with `work`,
/// which is given a unit and returns what came of it as bytes; all ranks get that of all units, by unit. How
/// many ranks there are changes nothing but the time. Throws like World::all_gather, and what `work` throws.
std::vector<std::string> map_units(World& world, const std::vector<std::int64_t>& costs,
                                   const std::function<std::string(std::size_t unit)>& work,
                                   const char* what);

/// The world of a process alone.
World& alone();

/// True when mpirun or srun started this process with others.
bool started_with_others();

/// "Open MPI v4.1.4", empty in builds without MPI.
std::string mpi_version();

/// Joins the ranks that were started together; a process alone gets a world of one without MPI. To be called
/// once; destroying it leaves the job in order. Throws Error(kConfig) when there are others and the build has
/// no MPI, Error(kPeer) when MPI fails.
std::unique_ptr<World> join_world();

/// Deals items of these costs to ranks so that none has much more than another: the dearest first, each to
/// the rank that has the least so far (ties: the lower index, the lower rank). Returns the rank of each item;
/// it depends on nothing but its arguments (Graham 1969: at most 4/3 of the best largest share).
std::vector<int> deal(const std::vector<std::int64_t>& costs, int ranks);

}  // namespace foresight
