#include "trainer/text/tokenizer.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/text/tokenizer_state.h"

namespace foresight {

namespace {

// Byte-pair encoding holds 16 bytes and more for each byte of a piece, and counts them in 32 bits.
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

void Tokenizer::State::encode_section(std::string_view text, std::size_t offset,
                                      std::vector<PlacedToken>& tokens) const {
  const NormalizedText normalized = normalizer.apply(text);
  const std::string_view whole = normalized.text;
  for (const TextSection& section : added_tokens.cut(whole, /*normalized=*/true)) {
    if (section.id >= 0) {
      tokens.push_back({section.id, offset + normalized.source_end(section.end)});
      continue;
    }
    encode_plain(
        whole.substr(section.begin, section.end - section.begin), offset == 0 && section.begin == 0,
        [&](std::size_t end) { return offset + normalized.source_end(section.begin + end); }, tokens);
  }
}

void Tokenizer::State::encode_plain(std::string_view text, bool at_start,
                                    const std::function<std::size_t(std::size_t)>& place,
                                    std::vector<PlacedToken>& tokens) const {
  const std::optional<NormalizedText> rewritten = pre_tokenizer.rewritten(text, at_start);
  pre_tokenizer.for_each_piece(
      rewritten ? rewritten->text : text, [&](std::string_view piece, std::int64_t begin) {
        const std::size_t first = tokens.size();
        model.encode(piece, tokens);
        for (std::size_t index = first; index < tokens.size(); ++index) {
          const auto end = static_cast<std::size_t>(
              std::max<std::int64_t>(begin + static_cast<std::int64_t>(tokens[index].end), 0));
          tokens[index].end = place(rewritten ? rewritten->source_end(end) : end);
        }
      });
}

const std::string* Tokenizer::State::token_of(std::int32_t id) const {
  if (id < 0 || id >= vocabulary.size()) {
    throw Error(ErrorKind::kInput,
                concat(file, ": token id ", id, " is outside the vocabulary of ", vocabulary.size(),
                       " tokens; were the tokens made with another tokenizer?"));
  }
  return vocabulary.token_of(id);
}

Encoding Tokenizer::encode_with_ends(std::string_view text) const {
  require_utf8(text, "text to tokenize");
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorKind::kInput, concat("text to tokenize: ", text.size(), " bytes, at most ",
                                          kMaxTextBytes, " in one piece; split it"));
  }
  std::vector<PlacedToken> placed;
  for (const TextSection& section : state_->added_tokens.cut(text, /*normalized=*/false)) {
    if (section.id >= 0) {
      placed.push_back({section.id, section.end});
    } else {
      state_->encode_section(text.substr(section.begin, section.end - section.begin), section.begin, placed);
    }
  }
  Encoding encoding;
  encoding.tokens.reserve(placed.size());
  encoding.ends.reserve(placed.size());
  for (const PlacedToken& token : placed) {
    encoding.tokens.push_back(token.id);
    encoding.ends.push_back(token.end);
  }
  return encoding;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<std::int32_t> tokens = encode_with_ends(text).tokens;
  if (add_special_tokens) {
    const PostProcessor& extra = state_->post_processor;
    tokens.insert(tokens.begin(), extra.before.begin(), extra.before.end());
    tokens.insert(tokens.end(), extra.behind.begin(), extra.behind.end());
  }
  return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens, bool skip_special_tokens) const {
  std::vector<std::string> texts;
  texts.reserve(tokens.size());
  for (const std::int32_t id : tokens) {
    const std::string* text = state_->token_of(id);
    if (text == nullptr || (skip_special_tokens && state_->added_tokens.is_special(id))) continue;
    texts.push_back(*text);
  }
  return state_->decoder.decode(std::move(texts));
}

std::string Tokenizer::token_bytes(std::int32_t token) const {
  const std::string* text = state_->token_of(token);
  return text == nullptr ? std::string() : state_->decoder.token_bytes(*text);
}

std::int64_t Tokenizer::vocabulary_size() const {
  return state_->vocabulary.size();
}

std::vector<std::int32_t> Tokenizer::ids_without_token(std::int64_t rows) const {
  std::vector<std::int32_t> ids;
  for (std::int64_t id = 0; id < rows; ++id) {
    if (state_->vocabulary.token_of(static_cast<std::int32_t>(id)) == nullptr)
      ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

std::optional<std::int32_t> Tokenizer::token_id(std::string_view token) const {
  return state_->vocabulary.id_of(token);
}

std::int32_t Tokenizer::beginning_of_sequence() const {
  return state_->post_processor.before.empty() ? -1 : state_->post_processor.before.front();
}

const std::vector<std::int32_t>& Tokenizer::end_of_sequence() const {
  return state_->end_of_sequence;
}

const std::string& Tokenizer::fingerprint() const {
  return state_->fingerprint;
}

std::string StreamingDecoder::push(std::int32_t token) {
  pending_ += tokenizer_->token_bytes(token);
  std::size_t complete = 0;
  while (complete < pending_.size()) {
    const Utf8Step step = utf8_step(pending_, complete);
    if (step.cut_off) break;
    complete += step.bytes;
  }
  std::string text = repair_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamingDecoder::finish() {
  std::string text = repair_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace foresight
