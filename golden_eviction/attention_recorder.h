// Records the attention of a full pass for the oracle, as the mean of every block of queries, in a file.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <vector>

#include "data/oracle_schema.h"
#include "trainer/base/scratch_file.h"

namespace foresight {

/// Receives the attention of all layers of a pass in parts of any size and returns it layer by layer. It
/// holds one row of one layer in memory; finished rows are in a scratch file as large as the oracle file
/// without compression.
class AttentionRecorder {
 public:
  /// The scratch file is in the folder of the oracle file `file`. Throws Error(kResource) without disk space.
  AttentionRecorder(const OracleDimensions& dimensions, const std::filesystem::path& file);

  /// The attention of the next queries of a layer: probabilities [1, K, g, T, n], zero behind the causal
  /// mask, with n the entries up to the last of the T queries. Another layer may follow only at a block's
  /// end. A block that arrives whole is averaged over its group, then over its queries; one that arrives in
  /// parts is summed over both and divided at its end, all in float32. Throws Error(kResource) for a full
  /// disk, Error(kInternal) if another layer's block is not complete or the trace has no such queries.
  void observe(std::int64_t layer, const torch::Tensor& probabilities);

  /// The same of whole blocks that are averaged already: means [K, blocks, n], n the entries up to the last
  /// query of the last block, of which each block counts those up to its own. Not to be mixed with parts of
  /// blocks.
  void observe_means(std::int64_t layer, const torch::Tensor& means);

  /// [K, packed_elements] float16 of a layer. Throws Error(kInternal) unless all its queries were observed,
  /// Error(kResource) if it cannot be read back.
  torch::Tensor packed(std::int64_t layer) const;

 private:
  void add_whole_blocks(std::int64_t layer, const torch::Tensor& probabilities);
  void add_part(std::int64_t layer, const torch::Tensor& probabilities);
  /// Means [K, blocks, n] of the next blocks.
  void set_blocks_aside(std::int64_t layer, const torch::Tensor& means);
  void set_aside(std::int64_t layer, std::int64_t block, const torch::Tensor& mean);
  /// Where the row of a block of a KV head starts in the scratch file, in bytes. The rows of a layer are
  /// ordered by block, then by head.
  std::uint64_t place(std::int64_t layer, std::int64_t block, std::int64_t head) const;

  OracleDimensions dimensions_;
  ScratchFile scratch_;
  std::vector<std::int64_t> seen_;  ///< queries observed of each layer
  std::int64_t begun_layer_ = -1;   ///< the layer with an incomplete block; -1: none
  /// Allocated once, because small tensors between the large ones of a pass would fragment the heap.
  torch::Tensor sum_;  ///< [K, L] float32 of the incomplete block
  torch::Tensor row_;  ///< [K * L] float16 on the CPU
};

}  // namespace foresight
