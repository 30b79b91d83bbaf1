// What the oracle records of a full pass: the mean attention of every block of queries, set aside in a file.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <vector>

#include "data/oracle_schema.h"
#include "trainer/base/scratch_file.h"

namespace foresight {

/// Takes the attention of all layers of a pass in parts of any size and gives it back layer by layer. It
/// holds one row of one layer; the rows that are done lie in a scratch file as large as the oracle file is
/// without compression.
class AttentionRecorder {
 public:
  /// The scratch file lies beside the oracle file `file`. Throws Error(kResource) when the disk has no room.
  AttentionRecorder(const OracleDimensions& dimensions, const std::filesystem::path& file);

  /// The attention of the next queries of a layer: probabilities [1, K, g, T, n], zero behind the causal
  /// mask, with n the entries up to the last of the T queries. A layer's turn ends with a block's end. A
  /// block that comes whole is averaged over its group, then over its queries; one that comes in parts is a
  /// sum over both that is divided at its end, all in float32. Throws Error(kResource) for a full disk,
  /// Error(kInternal) where another layer's block is not complete or the trace has no such queries.
  void observe(std::int64_t layer, const torch::Tensor& probabilities);

  /// [K, packed_elements] float16 of a layer. Throws Error(kInternal) unless all its queries were observed,
  /// Error(kResource) where the disk does not give it back.
  torch::Tensor packed(std::int64_t layer) const;

 private:
  void add_whole_blocks(std::int64_t layer, const torch::Tensor& probabilities);
  void add_part(std::int64_t layer, const torch::Tensor& probabilities);
  void set_aside(std::int64_t layer, std::int64_t block, const torch::Tensor& mean);
  /// Where the row of a block of a KV head starts in the scratch file, in bytes. A layer's rows lie block by
  /// block, the heads of a block one after the other.
  std::uint64_t place(std::int64_t layer, std::int64_t block, std::int64_t head) const;

  OracleDimensions dimensions_;
  ScratchFile scratch_;
  std::vector<std::int64_t> seen_;  ///< queries observed of each layer
  std::int64_t begun_layer_ = -1;   ///< whose block is not complete; -1: none
  /// Allocated once: small tensors kept between the large ones of a pass would leave holes in the heap.
  torch::Tensor sum_;  ///< [K, L] float32 of the block that is not complete
  torch::Tensor row_;  ///< [K * L] float16 on the CPU
};

}  // namespace foresight
