// Starts the kernels of GPUs. No torch, and nothing of CUDA.
#pragma once

#include "trainer/kernels/choice_work.h"
#include "trainer/kernels/entry_work.h"
#include "trainer/kernels/row_work.h"
#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// Each starts the kernel for `work`, whose memory is the GPU's, on `stream` (a cudaStream_t): one launch.
/// Null, or what CUDA says is wrong.
const char* start(const WindowWork& work, void* stream);
const char* start(const NormWork& work, void* stream);
const char* start(const RotationWork& work, void* stream);
const char* start(const GateWork& work, void* stream);
const char* start(const LossWork& work, void* stream);
const char* start(const AppendWork& work, void* stream);
const char* start(const CompactWork& work, void* stream);
const char* start(const GatherWork& work, void* stream);
const char* start(const ScoreWork& work, void* stream);
const char* start(const NoiseWork& work, void* stream);
const char* start(const ChoiceWork& work, void* stream);

}  // namespace foresight::kernels
