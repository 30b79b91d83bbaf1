#include "data/trace_rows.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

/// Builds one trace from rows; `limit` tokens at most.
class TraceBuilder {
 public:
  TraceBuilder(std::int64_t limit, std::int32_t first_token)
      : limit_(static_cast<std::size_t>(limit)), first_token_(first_token) {}

  bool full() const { return trace_.tokens.size() == limit_; }

  void append(const TokenRow& row) {
    if (trace_.tokens.empty()) {
      trace_.tokens.reserve(limit_);
      first_source_ = row.source;
      // Prompts of some chat templates already begin with it.
      if (first_token_ >= 0 && row.tokens.front() != first_token_) push(first_token_, 0);
    }
    last_source_ = row.source;
    for (std::size_t index = 0; index < row.tokens.size() && !full(); ++index) {
      push(row.tokens[index], row.completion[index]);
    }
  }

  /// The trace so far; the builder is empty afterwards.
  TokenRow take() {
    trace_.source =
        first_source_ == last_source_ ? first_source_ : concat(first_source_, " .. ", last_source_);
    TokenRow done = std::move(trace_);
    trace_ = TokenRow{};
    return done;
  }

 private:
  void push(std::int32_t token, std::uint8_t completion) {
    trace_.tokens.push_back(token);
    trace_.completion.push_back(completion);
  }

  std::size_t limit_;
  std::int32_t first_token_;
  TokenRow trace_;
  std::string first_source_, last_source_;
};

}  // namespace

std::vector<TokenRow> pack_rows(const std::vector<TokenRow>& rows, bool pack, std::int64_t trace_tokens,
                                std::int64_t max_traces, std::int32_t first_token) {
  const std::int64_t least = first_token >= 0 ? 2 : 1;
  if (trace_tokens < least) {
    throw Error(ErrorKind::kConfig,
                concat("data.trace_tokens: expected at least ", least, ", got ", trace_tokens));
  }
  std::vector<TokenRow> traces;
  TraceBuilder builder(trace_tokens, first_token);
  for (const TokenRow& row : rows) {
    if (max_traces > 0 && static_cast<std::int64_t>(traces.size()) >= max_traces) break;
    if (row.completion.size() != row.tokens.size()) {
      throw Error(ErrorKind::kInternal, concat(row.source, ": ", row.tokens.size(), " tokens but ",
                                               row.completion.size(), " completion marks"));
    }
    if (row.tokens.empty()) continue;
    builder.append(row);
    if (builder.full() || !pack) traces.push_back(builder.take());
  }
  return traces;
}

}  // namespace foresight
