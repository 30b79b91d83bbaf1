// Collectives on memory of GPUs, over NCCL.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace foresight {

/// The ranks' GPUs. Calls are collectives, entered in the same order by all; they read and write device
/// memory of this rank's GPU on a stream of their own, begin when the work of the device so far is done, and
/// return when the result is there. While they wait NCCL's asynchronous errors are looked at; a failed
/// communicator is aborted, and Error(kPeer) says why.
class DeviceGroup {
 public:
  virtual ~DeviceGroup() = default;
  /// `all` [ranks * count] gets what every rank has in `mine` [count], by rank.
  virtual void all_gather(const float* mine, float* all, std::size_t count, const char* what) = 0;
  /// Replaces `values` [count] by their sums over all ranks, in NCCL's order.
  virtual void sum(float* values, std::size_t count, const char* what) = 0;
};

/// Called again and again while a collective runs: it may throw, and the communicator is aborted then.
using WhileWaiting = std::function<void()>;

/// The identity of a new group, to be made by one rank and handed to all. Throws Error(kPeer).
std::string new_device_group_id();
/// Joins the group of that id on GPU `device`. Throws Error(kPeer) when NCCL or CUDA fails.
std::unique_ptr<DeviceGroup> join_device_group(const std::string& id, int rank, int ranks, int device,
                                               WhileWaiting while_waiting);
/// True in builds with NCCL.
bool has_nccl();
/// "2.28.9", empty in builds without NCCL.
std::string nccl_version();

}  // namespace foresight
