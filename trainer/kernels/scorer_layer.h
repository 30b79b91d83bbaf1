// A scorer's layer and what it reads of entries: in one launch on a GPU, by a function of its own on a CPU.
#pragma once

#include <torch/types.h>

#include "trainer/kernels/entry_work.h"
#include "trainer/kernels/processor.h"

namespace foresight::kernels {

/// Whether gather() and score() take entries with `inputs` features in memory of `device`.
bool suits_scorer_layer(const torch::Device& device, std::int64_t inputs);

/// Does `work`, whose memory is the device's, and does not wait for a GPU. On a CPU, values do not depend on
/// the number of threads. Throws as launch().
void gather(const GatherWork& work, const torch::Device& device,
            Processor processor = best_processor(torch::kFloat32));
void score(const ScoreWork& work, const torch::Device& device,
           Processor processor = best_processor(torch::kFloat32));

/// Does `work`, whose memory is the CPU's.
void differentiate(const GradientWork& work, Processor processor = best_processor(torch::kFloat32));

}  // namespace foresight::kernels
