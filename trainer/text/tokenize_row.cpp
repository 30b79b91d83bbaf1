#include "trainer/text/tokenize_row.h"

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {

TokenRow tokenize_row(const Tokenizer& tokenizer, const TraceRow& row) {
  TokenRow result;
  result.source = row.source;
  if (!row.tokens.empty()) {
    for (std::size_t index = 0; index < row.tokens.size(); ++index) {
      if (row.tokens[index] >= 0 && row.tokens[index] < tokenizer.vocabulary_size()) continue;
      throw Error(ErrorKind::kInput, concat(row.source, ": tokens[", index, "] is ", row.tokens[index],
                                            ", outside the vocabulary of ", tokenizer.vocabulary_size(),
                                            " tokens; were they made with another tokenizer?"));
    }
    result.tokens = row.tokens;
    result.completion.assign(row.tokens.size(), 1);
    return result;
  }
  heartbeat();
  const std::string text = row.prompt + row.completion;
  require_utf8(text, row.source);
  Encoding encoding = tokenizer.encode_with_ends(text);
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
