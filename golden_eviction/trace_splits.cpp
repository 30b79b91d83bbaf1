#include "golden_eviction/trace_splits.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/text/chat_rows.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// The rows of some files, with their conversations rendered.
std::vector<TraceRow> read_files(const std::vector<std::string>& files, const ModelConfig& model) {
  const ChatTemplate chat = ChatTemplate::load(model.path, model.template_date);
  std::vector<TraceRow> rows;
  for (const std::string& file : files) {
    for (TraceRow& row : read_trace_rows(file)) rows.push_back(rendered_row(std::move(row), chat));
  }
  return rows;
}

/// Tokenizes only as many rows as `max_traces` packed traces can need.
std::vector<TokenRow> traces_of(const std::vector<TraceRow>& rows, const Config& config,
                                const Tokenizer& tokenizer, std::int64_t max_traces) {
  std::vector<TokenRow> tokenized;
  std::size_t next = 0, batch = 64;
  std::vector<TokenRow> traces;
  while (static_cast<std::int64_t>(traces.size()) < max_traces && next < rows.size()) {
    const std::size_t end = std::min(rows.size(), next + batch);
    for (; next < end; ++next) tokenized.push_back(tokenize_row(tokenizer, rows[next]));
    traces = pack_rows(tokenized, config.data.pack, config.data.trace_tokens, max_traces,
                       tokenizer.beginning_of_sequence());
    batch *= 2;
  }
  return traces;
}

void check_traces(const TraceSplit& split, const Config& config, const ModelShape& shape) {
  const std::int64_t least = config.eviction.budget + config.eviction.window + 1;
  for (const TokenRow& trace : split.traces) {
    const auto length = static_cast<std::int64_t>(trace.tokens.size());
    if (split.name != "evaluation" && length < least) {
      throw Error(ErrorKind::kInput,
                  concat(trace.source, ": a ", split.name, " trace of ", length, " tokens, but budget ",
                         config.eviction.budget, " and window ", config.eviction.window, " need at least ",
                         least, ": use longer traces, data.pack: true, or a smaller eviction.budget"));
    }
    if (length > shape.max_positions) {
      throw Error(ErrorKind::kInput, concat(trace.source, ": a ", split.name, " trace of ", length,
                                            " tokens, but the model has ", shape.max_positions,
                                            " positions: lower data.trace_tokens to at most that"));
    }
    const auto largest = std::max_element(trace.tokens.begin(), trace.tokens.end());
    if (largest != trace.tokens.end() && *largest >= shape.vocabulary_size) {
      throw Error(ErrorKind::kInput,
                  concat(trace.source, ": token id ", *largest, ", but the model has ", shape.vocabulary_size,
                         " rows: tokenizer and model do not belong together"));
    }
  }
}

}  // namespace

std::vector<TraceSplit> make_trace_splits(const Config& config, const Tokenizer& tokenizer,
                                          const ModelShape& shape) {
  const std::int64_t train_count = config.data.max_train_traces,
                     validation_count = config.data.validation_traces;
  const std::vector<TraceRow> train_rows = read_files(config.data.train, config.model);
  const std::vector<TraceRow> evaluation_rows = read_files(config.data.evaluation, config.model);
  const std::vector<std::string> overlap = overlapping_rows(train_rows, evaluation_rows);
  if (!overlap.empty()) {
    throw Error(ErrorKind::kInput,
                concat(overlap.size(), " evaluation rows are in the training files too (first: ", overlap[0],
                       "): remove them from one of the two"));
  }
  std::vector<TokenRow> all = traces_of(train_rows, config, tokenizer, train_count + validation_count);
  const auto have = static_cast<std::int64_t>(all.size());
  if (have < train_count + validation_count) {
    throw Error(ErrorKind::kInput,
                concat("data.train gives ", have, " traces of ", config.data.trace_tokens,
                       " tokens, but data.max_train_traces ", train_count, " and data.validation_traces ",
                       validation_count, " ask for ", train_count + validation_count,
                       ": add rows, or lower these numbers"));
  }
  std::vector<TraceSplit> splits = {{"train", {}}, {"validation", {}}, {"evaluation", {}}};
  for (std::int64_t i = 0; i < have; ++i) {
    splits[i < train_count ? 0 : 1].traces.push_back(std::move(all[static_cast<std::size_t>(i)]));
  }
  splits[2].traces = traces_of(evaluation_rows, config, tokenizer, config.evaluation.max_traces);
  if (!config.data.evaluation.empty() && splits[2].traces.empty()) {
    throw Error(ErrorKind::kInput,
                concat("data.evaluation gives no trace of ", config.data.trace_tokens,
                       " tokens: add rows, lower data.trace_tokens, or set data.pack=false"));
  }
  for (const TraceSplit& split : splits) check_traces(split, config, shape);
  return splits;
}

}  // namespace foresight
