// The oracle stage: it runs every trace once with the full cache and writes its future attention to HDF5.
#pragma once

#include <filesystem>

#include "data/oracle_schema.h"
#include "golden_eviction/trace_splits.h"
#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Records the traces that are not recorded yet in `<output>/oracle`; traces are assigned to ranks by their
/// length. A file of another model, tokenizer, block size or other tokens is an Error(kInput); a damaged one
/// is recorded again with a warning. Throws Error(kNumeric) for a loss that is not finite,
/// Error(kInterrupted) after a stop signal (finished traces are kept).
void run_oracle(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world);

/// Records one trace with the full cache; the file appears whole or not at all.
void record_trace(const Transformer& model, const TokenRow& trace, const std::string& trace_id,
                  std::int64_t block_tokens, int compression, const OracleProvenance& provenance,
                  const std::filesystem::path& file);

/// Query block of the recorded attention: oracle.block_tokens, or the window if that is 0.
std::int64_t recorded_block_tokens(const Config& config);

}  // namespace foresight
