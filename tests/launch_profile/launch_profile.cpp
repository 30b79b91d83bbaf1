// What a program does with a GPU, counted by CUPTI: a library that CUDA itself loads when the variable
// CUDA_INJECTION64_PATH names it (scripts/gpu_check.sh --profile). At the program's end it writes to standard
// error, for the second half of the time in which kernels ran: kernels and copies by their share of the time,
// calls that made the host wait, and how long the GPU had something to do.
#include <cuda.h>
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

/// Something that the GPU did, or a call of the host.
struct Event {
  std::uint64_t start_ns = 0, end_ns = 0;
  std::string name;
};

std::mutex events_mutex;
std::vector<Event> of_gpu, of_host;

constexpr std::size_t kBufferBytes = 8 << 20;

std::string readable(const char* name) {
  if (name == nullptr) return "?";
  int status = 0;
  char* const plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 ? plain : name;
  std::free(plain);
  for (const char* noise : {"void ", "at::native::", "<unnamed>::", "(anonymous namespace)::"}) {
    for (std::size_t at = 0; (at = result.find(noise)) != std::string::npos;)
      result.erase(at, std::string(noise).size());
  }
  return result.substr(0, 110);
}

const char* copy_name(std::uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "copy to the GPU";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "copy to the host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "copy on the GPU";
    default:
      return "copy";
  }
}

void take(const CUpti_Activity& record) {
  if (record.kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
    const auto& kernel = reinterpret_cast<const CUpti_ActivityKernel10&>(record);
    of_gpu.push_back({kernel.start, kernel.end, readable(kernel.name)});
  } else if (record.kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
    const auto& copy = reinterpret_cast<const CUpti_ActivityMemcpy6&>(record);
    of_gpu.push_back({copy.start, copy.end, copy_name(copy.copyKind)});
  } else if (record.kind == CUPTI_ACTIVITY_KIND_MEMSET) {
    const auto& set = reinterpret_cast<const CUpti_ActivityMemset4&>(record);
    of_gpu.push_back({set.start, set.end, "memset"});
  } else if (record.kind == CUPTI_ACTIVITY_KIND_RUNTIME) {
    const auto& call = reinterpret_cast<const CUpti_ActivityAPI&>(record);
    const char* name = nullptr;
    cuptiGetCallbackName(CUPTI_CB_DOMAIN_RUNTIME_API, call.cbid, &name);
    of_host.push_back({call.start, call.end, name == nullptr ? "?" : name});
  }
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = kBufferBytes;
  *records = 0;
}

void CUPTIAPI take_buffer(CUcontext /*context*/, std::uint32_t /*stream*/, std::uint8_t* buffer,
                          std::size_t /*size*/, std::size_t valid) {
  const std::lock_guard lock(events_mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) take(*record);
  std::free(buffer);
}

double milliseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

struct Total {
  std::uint64_t count = 0, ns = 0;
};

void print_totals(const char* title, const std::vector<Event>& events, std::uint64_t from,
                  std::size_t most_rows) {
  std::map<std::string, Total> totals;
  Total all;
  for (const Event& event : events) {
    if (event.start_ns < from) continue;
    for (Total* total : {&totals[event.name], &all}) {
      ++total->count;
      total->ns += event.end_ns - event.start_ns;
    }
  }
  std::vector<std::pair<std::string, Total>> rows(totals.begin(), totals.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
  std::fprintf(stderr, "%s: %llu, %.1f ms\n", title, static_cast<unsigned long long>(all.count),
               milliseconds(all.ns));
  for (std::size_t i = 0; i < rows.size() && i < most_rows; ++i) {
    std::fprintf(stderr, "  %8.1f ms %8llu  %s\n", milliseconds(rows[i].second.ns),
                 static_cast<unsigned long long>(rows[i].second.count), rows[i].first.c_str());
  }
}

void report() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::lock_guard lock(events_mutex);
  if (of_gpu.empty()) return;
  std::sort(of_gpu.begin(), of_gpu.end(),
            [](const Event& a, const Event& b) { return a.start_ns < b.start_ns; });
  std::uint64_t end = 0;
  for (const Event& event : of_gpu) end = std::max(end, event.end_ns);
  const std::uint64_t from = of_gpu.front().start_ns + (end - of_gpu.front().start_ns) / 2;
  std::uint64_t busy = 0, until = from;
  for (const Event& event : of_gpu) {
    if (event.end_ns <= until) continue;
    busy += event.end_ns - std::max(event.start_ns, until);
    until = event.end_ns;
  }
  std::fprintf(stderr, "launch profile of the second half: %.1f ms, the GPU busy for %.1f ms (%.0f %%)\n",
               milliseconds(end - from), milliseconds(busy),
               100.0 * static_cast<double>(busy) / static_cast<double>(end - from));
  print_totals("kernels and copies", of_gpu, from, 45);
  print_totals("calls of the host", of_host, from, 14);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  for (const CUpti_ActivityKind kind : {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                                        CUPTI_ACTIVITY_KIND_MEMSET, CUPTI_ACTIVITY_KIND_RUNTIME}) {
    cuptiActivityEnable(kind);
  }
  std::atexit(report);
  return 1;
}
