// Collectives on memory of GPUs, over NCCL.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace foresight {

/// The ranks' GPUs. Calls are collectives, which all ranks make in the same order. They read and write memory
/// of this rank's GPU on a stream of their own, begin when the earlier work of the device is done, and return
/// when the result is complete. While they wait, they check for NCCL's asynchronous errors; a failed
/// communicator is aborted, and Error(kPeer) says why.
class DeviceGroup {
 public:
  virtual ~DeviceGroup() = default;
  /// `all` [ranks * count] gets what every rank has in `mine` [count], by rank.
  virtual void all_gather(const float* mine, float* all, std::size_t count, const char* what) = 0;
  /// Replaces `values` [count] by their sums over all ranks, in NCCL's order.
  virtual void sum(float* values, std::size_t count, const char* what) = 0;
};

/// Called repeatedly while a collective runs. If it throws, the communicator is aborted.
using WhileWaiting = std::function<void()>;

/// The identity of a new group, which one rank makes and sends to all. Throws Error(kPeer).
std::string new_device_group_id();
/// Joins the group of that id on GPU `device`. Throws Error(kPeer) when NCCL or CUDA fails.
std::unique_ptr<DeviceGroup> join_device_group(const std::string& id, int rank, int ranks, int device,
                                               WhileWaiting while_waiting);
/// True in builds with NCCL.
bool has_nccl();
/// "2.28.9", empty in builds without NCCL.
std::string nccl_version();

}  // namespace foresight
