// Likelihoods of a policy's choice with their derivatives: in one launch on a GPU, by one function on a CPU.
#pragma once

#include <torch/types.h>

#include "trainer/kernels/choice_work.h"

namespace foresight::kernels {

/// Whether find_terms() takes choices among `candidates` in memory of `device`: a CPU, or a GPU with kernels.
bool suits_choice_terms(const torch::Device& device, std::int64_t candidates);

/// Does `work`, whose memory is the device's, and does not wait for a GPU. On a CPU in double precision, with
/// values that do not depend on the number of threads. Throws as launch().
void find_terms(const ChoiceWork& work, const torch::Device& device);

}  // namespace foresight::kernels
