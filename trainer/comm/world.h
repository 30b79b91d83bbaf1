// The processes ("ranks") of one job: who they are, what they exchange, and how they end together. mpirun or
// srun starts them; a process started without these is a world of one and needs no MPI.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/comm/device_group.h"

namespace foresight {

/// What all ranks of a job share. All ranks enter the collectives in the same order, on the thread that
/// joined; `what` names a collective in messages. While a rank waits in one, it tells the others that it is
/// alive, and throws Error(kPeer) naming rank and host of a peer that was silent for longer than the limit. A
/// rank that throws must call abort(), because the others would wait for it.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// This rank's number among those of its host, and how many there are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  /// Name of a rank's host.
  virtual const std::string& host(int rank) const = 0;
  /// True on the rank that writes files and log lines of which a job has one: checkpoints, metrics, the log.
  bool leads() const { return rank() == 0; }

  /// What every rank gave, by rank. Sizes may differ. Throws Error(kPeer), and Error(kInternal) if ranks have
  /// entered different collectives.
  virtual std::vector<std::string> all_gather(const std::string& mine, const char* what) = 0;
  /// Replaces `values` by their sums over all ranks. MPI chooses the order of summation: if results must not
  /// depend on the number of ranks, gather the values and sum them in a fixed order.
  virtual void sum(std::span<float> values, const char* what) = 0;
  /// NCCL among the ranks, on this rank's GPU. It is made at the first call, which is a collective. Null in a
  /// world of one and in builds without NCCL. Each rank must have a GPU of its own (require_own_devices()).
  /// Throws Error(kPeer) when NCCL fails.
  virtual DeviceGroup* devices(int device) = 0;
  /// Rank 0's value, on all ranks.
  std::string broadcast(const std::string& value, const char* what);
  /// Rank 0's flags, on all ranks, so that all take the same branches.
  std::vector<bool> broadcast_flags(const std::vector<bool>& flags, const char* what);
  /// True everywhere when it is true on any rank.
  bool any(bool mine, const char* what);
  /// Returns once all ranks have entered it.
  void barrier(const char* what);

  /// Tells the others that this rank is alive. It is cheap and throws nothing; call it often in long work.
  virtual void tick() = 0;
  /// How long a rank may be silent, in seconds.
  virtual void set_silence_limit(double seconds) = 0;

  /// Ends all ranks of the job at once with this exit code. A world of one only exits.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// Gathers the results of units of work that were assigned to ranks (`rank_of` by unit): each rank gives the
/// results of its own units in ascending order, and gets those of all units. Throws like World::all_gather,
/// and Error(kInternal) unless `own` has one entry for each of this rank's units.
std::vector<std::string> share_units(World& world, const std::vector<int>& rank_of,
                                     const std::vector<std::string>& own, const char* what);

/// Assigns units of work with these costs to ranks. Each rank calls `work` for its own units in ascending
/// order, which returns a unit's result as bytes; all ranks get the results of all units. The number of ranks
/// changes only the time that this takes. Throws like World::all_gather, and what `work` throws.
std::vector<std::string> map_units(World& world, const std::vector<std::int64_t>& costs,
                                   const std::function<std::string(std::size_t unit)>& work,
                                   const char* what);

/// The world of a process alone.
World& alone();

/// True when mpirun or srun started this process with others.
bool started_with_others();

/// "Open MPI v4.1.4", empty in builds without MPI.
std::string mpi_version();

/// Joins the ranks that were started together; a process alone gets a world of one without MPI. Call it once;
/// destroying the world leaves the job in an orderly way. Throws Error(kConfig) if there are several
/// processes and the build has no MPI, Error(kPeer) when MPI fails.
std::unique_ptr<World> join_world();

/// Assigns items of these costs to ranks so that the ranks' shares are close: the most expensive first, each
/// to the rank with the least so far (ties: the lower index, the lower rank). Returns the rank of each item,
/// which depends only on the arguments (Graham 1969: the largest share is at most 4/3 of the best possible).
std::vector<int> deal(const std::vector<std::int64_t>& costs, int ranks);

}  // namespace foresight
