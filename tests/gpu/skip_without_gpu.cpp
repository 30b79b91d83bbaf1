// Without a GPU nothing here can run; ctest then shows the tests as skipped, not as passed.
#include <torch/cuda.h>

#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE of tests/CMakeLists.txt

const bool has_gpu = [] {
  if (torch::cuda::is_available()) return true;
  std::fputs("NOT RUN: the GPU tests need a CUDA device, and torch finds none here\n", stderr);
  std::_Exit(kSkipped);
}();

}  // namespace
