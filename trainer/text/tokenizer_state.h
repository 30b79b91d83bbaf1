// What a Tokenizer holds; private to tokenizer.cpp and tokenizer_load.cpp.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/text/added_tokens.h"
#include "trainer/text/bpe.h"
#include "trainer/text/decoder.h"
#include "trainer/text/normalizer.h"
#include "trainer/text/post_processor.h"
#include "trainer/text/pre_tokenizer.h"
#include "trainer/text/tokenizer.h"
#include "trainer/text/vocabulary.h"

namespace foresight {

struct Tokenizer::State {
  std::string file;  // for messages
  Vocabulary vocabulary;
  Normalizer normalizer;
  AddedTokens added_tokens;
  PreTokenizer pre_tokenizer;
  BytePairModel model;
  PostProcessor post_processor;
  Decoder decoder;
  std::vector<std::int32_t> end_of_sequence;
  std::string fingerprint;

  /// Appends the tokens of text without raw added tokens; their ends are moved by `offset`.
  void encode_section(std::string_view text, std::size_t offset, std::vector<PlacedToken>& tokens) const;
  /// Appends the tokens of normalised text without added tokens. `at_start`: nothing stands before it;
  /// `place`: where the text's byte offset lies in the source.
  void encode_plain(std::string_view text, bool at_start,
                    const std::function<std::size_t(std::size_t)>& place,
                    std::vector<PlacedToken>& tokens) const;
  /// The token's text; no value for a hole in the ids. Throws Error(kInput) for an id beyond them.
  const std::string* token_of(std::int32_t id) const;
};

}  // namespace foresight
