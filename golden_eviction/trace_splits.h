// From the rows of a config's files to tokenized traces: training, validation and evaluation.
#pragma once

#include <string>
#include <vector>

#include "data/trace_rows.h"
#include "trainer/config/config.h"
#include "trainer/model_files/model_shape.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Tokenized traces of one split, ready for the oracle.
struct TraceSplit {
  std::string name;  ///< "train", "validation" or "evaluation"
  std::vector<TokenRow> traces;
};

/// train: the first data.max_train_traces of data.train; validation: the data.validation_traces after them;
/// evaluation: the first evaluation.max_traces of data.evaluation. Conversations are rendered by the model's
/// chat template; rows are packed as data.pack says. Throws Error(kInput): too few rows, a training trace
/// shorter than budget + window + 1, a trace longer than the model's positions, tokens outside the
/// vocabulary, or training rows that are in the evaluation files too.
std::vector<TraceSplit> make_trace_splits(const Config& config, const Tokenizer& tokenizer,
                                          const ModelShape& shape);

}  // namespace foresight
