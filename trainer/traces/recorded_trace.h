// A recorded trace in memory: tokens, full-KV loss and entropy as tensors. Its attention stays in the file.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "data/oracle_file.h"
#include "trainer/model/trace_tokens.h"

namespace foresight {

/// One oracle file, opened.
struct RecordedTrace {
  std::string id;
  std::filesystem::path file;
  std::string dtype;  ///< Transformer::dtype_name() of the pass that was recorded
  OracleDimensions dimensions;
  torch::Tensor tokens;      ///< [L] int64
  torch::Tensor loss;        ///< [L] float32, full KV
  torch::Tensor entropy;     ///< [L] float32, full KV
  torch::Tensor completion;  ///< [L] bool

  std::int64_t length() const { return tokens.size(0); }
  /// Tokens before the first one of a completion; all where there is none.
  std::int64_t prompt_tokens() const;
};

/// The tokens and prompts of traces of one length.
TraceTokens stacked_tokens(const std::vector<const RecordedTrace*>& traces);

/// Runs of consecutive traces of one length, at most `most` each, by their numbers.
std::vector<std::vector<std::size_t>> equal_length_batches(const std::vector<RecordedTrace>& traces,
                                                           std::size_t most);

/// SHA-256 (hex) of the traces' ids, tokens and completion masks and of the dtype of their passes. Losses and
/// attention are not in it: they follow from these and the model, up to rounding.
std::string traces_fingerprint(const std::vector<RecordedTrace>& traces);

/// For stages that compare losses with the recorded ones: throws Error(kConfig) unless all were recorded with
/// products in `dtype`, because rounding alone changes a loss by as much as a good policy does.
void require_losses_of(const std::vector<RecordedTrace>& traces, const std::string& dtype);

}  // namespace foresight
