#include "trainer/text/tokenize_row.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {

namespace {

bool in_vocabulary(const Tokenizer& tokenizer, std::int32_t token) {
  return token >= 0 && token < tokenizer.vocabulary_size();
}

/// Whether a row's tokens are this tokenizer's tokens for its text, which may have been edited since.
bool stand_for_text(const Tokenizer& tokenizer, const TraceRow& row) {
  const auto known = [&](std::int32_t token) { return in_vocabulary(tokenizer, token); };
  if (!std::all_of(row.tokens.begin(), row.tokens.end(), known)) return false;
  const std::span<const std::int32_t> tokens(row.tokens);
  const auto prompt_tokens = static_cast<std::size_t>(row.prompt_tokens);
  const std::vector<std::int32_t> prompt = encode_prompt(tokenizer, row.prompt);
  return std::equal(prompt.begin(), prompt.end(), tokens.begin(), tokens.begin() + row.prompt_tokens) &&
         completion_text(tokenizer, tokens.subspan(prompt_tokens)) == row.completion;
}

/// A row whose tokens are given.
TokenRow given_tokens(const Tokenizer& tokenizer, const TraceRow& row) {
  for (std::size_t index = 0; index < row.tokens.size(); ++index) {
    if (in_vocabulary(tokenizer, row.tokens[index])) continue;
    throw Error(ErrorKind::kInput, concat(row.source, ": tokens[", index, "] is ", row.tokens[index],
                                          ", outside the vocabulary of ", tokenizer.vocabulary_size(),
                                          " tokens; were they made with another tokenizer?"));
  }
  TokenRow result{.tokens = row.tokens, .completion = {}, .source = row.source};
  result.completion.assign(row.tokens.size(), 1);
  std::fill_n(result.completion.begin(), std::max<std::int64_t>(row.prompt_tokens, 0), std::uint8_t{0});
  return result;
}

}  // namespace

TokenRow tokenize_row(const Tokenizer& tokenizer, const TraceRow& row) {
  if (!row.tokens.empty() && row.prompt_tokens < 0) return given_tokens(tokenizer, row);
  require_utf8(row.prompt + row.completion, row.source);
  if (!row.tokens.empty() && stand_for_text(tokenizer, row)) return given_tokens(tokenizer, row);
  TokenRow result;
  result.source = row.source;
  heartbeat();
  Encoding encoding = tokenizer.encode_with_ends(row.prompt + row.completion);
  result.tokens = std::move(encoding.tokens);
  for (const std::size_t end : encoding.ends) result.completion.push_back(end > row.prompt.size() ? 1 : 0);
  return result;
}

std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> tokens = tokenizer.encode(text);
  const std::int32_t beginning = tokenizer.beginning_of_sequence();
  if (beginning >= 0 && (tokens.empty() || tokens.front() != beginning))
    tokens.insert(tokens.begin(), beginning);
  return tokens;
}

std::string completion_text(const Tokenizer& tokenizer, std::span<const std::int32_t> tokens) {
  StreamingDecoder decoder(tokenizer);
  std::string text;
  for (const std::int32_t token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

}  // namespace foresight
