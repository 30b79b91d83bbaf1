// Unicode normalisation before tokenizing.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// A text after normalisation, with the way back.
struct NormalizedText {
  std::string text;
  /// For each byte of `text`, one past the last byte of the source it came from; empty where nothing changed.
  std::vector<std::size_t> source_ends;

  /// Byte offset in the source up to which the first `end` bytes of `text` reach.
  std::size_t source_end(std::size_t end) const {
    return source_ends.empty() || end == 0 ? end : source_ends[end - 1];
  }
};

/// None, or NFC (canonical composition, by ICU).
class Normalizer {
 public:
  /// From tokenizer.json's "normalizer": null, NFC, or a Sequence of these. Throws Error(kInput) naming any
  /// other.
  static Normalizer from_json(const nlohmann::json& description, const std::string& where);
  /// `text` must be valid UTF-8.
  NormalizedText apply(std::string_view text) const;

 private:
  bool nfc_ = false;
};

}  // namespace foresight
