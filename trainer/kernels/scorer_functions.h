// A scorer's layer on a CPU, one set of functions for each instruction set. No torch.
#pragma once

#include "trainer/kernels/entry_work.h"

namespace foresight::kernels {

/// Room of one thread, in floats.
struct ScorerRoom {
  float* weights = nullptr;     ///< [F, kHiddenUnits]: the first map of features as they are
  float* tile = nullptr;        ///< [kTileEntries, 2d]: keys and values of some entries
  float* statistics = nullptr;  ///< [8g, stride]: those of all entries
  std::int64_t stride = 0;      ///< M in whole registers
  float* behind = nullptr;      ///< [M, kinds of deltas, kHiddenUnits]: what reaches the first map
};

/// Entries whose features are held at once.
inline constexpr std::int64_t kTileEntries = 16;

/// For one instruction set: of KV heads first .. last - 1 of all R * K.
struct ScorerFunctions {
  void (*gather)(const GatherWork& work, const ScorerRoom& room, std::int64_t first, std::int64_t last);
  void (*score)(const ScoreWork& work, const ScorerRoom& room, std::int64_t first, std::int64_t last);
  void (*differentiate)(const GradientWork& work, const ScorerRoom& room, std::int64_t first,
                        std::int64_t last);
};

}  // namespace foresight::kernels
