// Starts window attention on a GPU. No torch, and nothing of CUDA.
#pragma once

#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// Starts the kernel for `work`, whose memory is the GPU's, on `stream` (a cudaStream_t): one launch. Null,
/// or what CUDA says is wrong.
const char* start_window_attention(const WindowWork& work, void* stream);

}  // namespace foresight::kernels
