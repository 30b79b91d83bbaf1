// BPE tokenizer, over bytes or over characters, from a Hugging Face tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// Tokens with their places in the text.
struct Encoding {
  std::vector<std::int32_t> tokens;
  std::vector<std::size_t>
      ends;  ///< one past the last byte of the text that belongs to the token; never decreases
};

/// Encodes and decodes as the `tokenizers` library does for the same tokenizer.json. Immutable, thread-safe.
class Tokenizer {
 public:
  /// `folder`: a model folder with tokenizer.json (and tokenizer_config.json, generation_config.json,
  /// config.json when there). Throws Error(kInput): missing file, bad JSON, an unsupported model, normaliser,
  /// pre-tokenizer or decoder by name.
  static Tokenizer load(const std::filesystem::path& folder);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Tokens of UTF-8 `text`; added tokens ("<|im_start|>") in it become their ids. Without the
  /// post-processor's beginning-of-sequence unless add_special_tokens. Throws Error(kInput) on invalid UTF-8,
  /// naming the byte offset.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = false) const;
  /// The same without special tokens of the post-processor, with the place in `text` where each token ends.
  Encoding encode_with_ends(std::string_view text) const;
  /// Text of tokens; incomplete UTF-8 becomes U+FFFD. Throws Error(kInput) on an id outside the vocabulary.
  std::string decode(std::span<const std::int32_t> tokens, bool skip_special_tokens = false) const;

  /// The bytes of one token that follows others; they may be a part of a character. The blank that decode()
  /// removes at the start of a text (SentencePiece-like tokenizers put it there) stays. Throws Error(kInput)
  /// on an id outside the vocabulary.
  std::string token_bytes(std::int32_t token) const;

  /// Ids run from 0 to vocabulary_size() - 1 (added tokens included).
  std::int64_t vocabulary_size() const;
  /// Those of a model's ids 0 .. rows - 1 that belong to no token: holes, and the rows beyond the vocabulary
  /// with which many models are padded.
  std::vector<std::int32_t> ids_without_token(std::int64_t rows) const;
  std::optional<std::int32_t> token_id(std::string_view token) const;
  /// The token that the post-processor puts first, -1 where it puts none.
  std::int32_t beginning_of_sequence() const;
  /// Ids that end generation: tokenizer_config's eos_token, eos_token_id of generation_config.json or else of
  /// config.json, "<|im_end|>", "<|endoftext|>".
  const std::vector<std::int32_t>& end_of_sequence() const;
  /// SHA-256 of tokenizer.json.
  const std::string& fingerprint() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Keeps incomplete UTF-8 back while tokens are streamed to a terminal.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// The text that became complete with this token (may be empty).
  std::string push(std::int32_t token);
  /// What is left at the end.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;  // the bytes of a character that is not complete yet
};

}  // namespace foresight
