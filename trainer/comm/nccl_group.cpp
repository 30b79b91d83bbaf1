#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/comm/device_group.h"

#ifdef FORESIGHT_WITH_NCCL

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace foresight {
namespace {

[[noreturn]] void fail(const char* what, const std::string& why) {
  throw Error(ErrorKind::kPeer,
              concat("NCCL failed in '", what, "': ", why,
                     "; NCCL_DEBUG=WARN says more, then run the same command again to resume"));
}

void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail(what, cudaGetErrorString(status));
}

void check_nccl(ncclResult_t status, const char* what) {
  if (status != ncclSuccess && status != ncclInProgress) fail(what, ncclGetErrorString(status));
}

// What a group holds; it is released in every case, also when a constructor throws.
struct AbortCommunicator {
  void operator()(ncclComm_t communicator) const { ncclCommAbort(communicator); }
};
struct DestroyStream {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
};
using Communicator = std::unique_ptr<std::remove_pointer_t<ncclComm_t>, AbortCommunicator>;
using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, DestroyEvent>;

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "join");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "join");
  return Event(event);
}

class NcclGroup final : public DeviceGroup {
 public:
  NcclGroup(const std::string& id, int rank, int ranks, int device, WhileWaiting while_waiting)
      : while_waiting_(std::move(while_waiting)) {
    ncclUniqueId unique{};
    if (id.size() != sizeof(unique.internal)) fail("join", "an id of another build of NCCL");
    std::copy(id.begin(), id.end(), unique.internal);
    check_cuda(cudaSetDevice(device), "join");
    stream_ = make_stream();
    before_ = make_event();
    // Not blocking: a rank that never joins must not block this one forever.
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t communicator = nullptr;
    const ncclResult_t status = ncclCommInitRankConfig(&communicator, ranks, unique, rank, &config);
    communicator_.reset(communicator);
    check_nccl(status, "join");
    wait_for_communicator("join");
  }

  void all_gather(const float* mine, float* all, std::size_t count, const char* what) override {
    after_device_work(what);
    check_nccl(ncclAllGather(mine, all, count, ncclFloat32, communicator_.get(), stream_.get()), what);
    wait(what);
  }

  void sum(float* values, std::size_t count, const char* what) override {
    after_device_work(what);
    check_nccl(ncclAllReduce(values, values, count, ncclFloat32, ncclSum, communicator_.get(), stream_.get()),
               what);
    wait(what);
  }

 private:
  /// The stream waits for the work so far of the default stream, on which the model and the scorer run.
  void after_device_work(const char* what) {
    check_cuda(cudaEventRecord(before_.get(), cudaStreamLegacy), what);
    check_cuda(cudaStreamWaitEvent(stream_.get(), before_.get(), 0), what);
  }

  /// Pauses between two checks; aborts when the wait fails.
  void look(const char* what) {
    constexpr std::chrono::microseconds kPause{50};
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(communicator_.get(), &state), what);
    if (state != ncclSuccess && state != ncclInProgress) {
      communicator_.reset();
      fail(what, ncclGetErrorString(state));
    }
    try {
      while_waiting_();
    } catch (const Error&) {
      communicator_.reset();
      throw;
    }
    std::this_thread::sleep_for(kPause);
  }

  void wait_for_communicator(const char* what) {
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress) {
      look(what);
      check_nccl(ncclCommGetAsyncError(communicator_.get(), &state), what);
    }
  }

  void wait(const char* what) {
    wait_for_communicator(what);  // the call itself does not block either
    for (cudaError_t done = cudaErrorNotReady; done == cudaErrorNotReady;) {
      done = cudaStreamQuery(stream_.get());
      if (done == cudaErrorNotReady) {
        look(what);
      } else {
        check_cuda(done, what);
      }
    }
  }

  WhileWaiting while_waiting_;
  Stream stream_;
  Event before_;
  Communicator communicator_;  // is destroyed first
};

}  // namespace

std::string new_device_group_id() {
  ncclUniqueId unique{};
  check_nccl(ncclGetUniqueId(&unique), "make an id");
  return {unique.internal, sizeof(unique.internal)};
}

std::unique_ptr<DeviceGroup> join_device_group(const std::string& id, int rank, int ranks, int device,
                                               WhileWaiting while_waiting) {
  return std::make_unique<NcclGroup>(id, rank, ranks, device, std::move(while_waiting));
}

bool has_nccl() {
  return true;
}

std::string nccl_version() {
  int version = 0;
  check_nccl(ncclGetVersion(&version), "version");
  return concat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace foresight

#else

namespace foresight {

std::string new_device_group_id() {
  throw Error(ErrorKind::kConfig, "this build has no NCCL: install the CUDA toolkit and build again");
}

std::unique_ptr<DeviceGroup> join_device_group(const std::string& /*id*/, int /*rank*/, int /*ranks*/,
                                               int /*device*/, WhileWaiting /*while_waiting*/) {
  throw Error(ErrorKind::kConfig, "this build has no NCCL: install the CUDA toolkit and build again");
}

bool has_nccl() {
  return false;
}

std::string nccl_version() {
  return {};
}

}  // namespace foresight

#endif
