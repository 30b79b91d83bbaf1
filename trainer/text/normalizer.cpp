#include "trainer/text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

// Several steps in a row that double a text would make gigabytes of a few characters.
constexpr std::size_t kMaxGrowth = 64;

void check(UErrorCode status) {
  // ICU's data are linked into it, so only a lack of memory can make this fail.
  if (U_FAILURE(status)) throw std::bad_alloc();
}

std::vector<std::size_t> source_ends(const icu::Edits& edits, std::size_t bytes) {
  std::vector<std::size_t> ends(bytes);
  UErrorCode status = U_ZERO_ERROR;
  for (auto edit = edits.getFineIterator(); edit.next(status);) {
    const auto source = static_cast<std::size_t>(edit.sourceIndex());
    const auto destination = static_cast<std::size_t>(edit.destinationIndex());
    const auto length = static_cast<std::size_t>(edit.newLength());
    for (std::size_t index = 0; index < length; ++index) {
      ends[destination + index] =
          edit.hasChange() ? source + static_cast<std::size_t>(edit.oldLength()) : source + index + 1;
    }
  }
  check(status);
  return ends;
}

/// `text` in NFC.
NormalizedText composed(std::string_view text) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  if (ascii) return {std::string(text), {}};
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  check(status);
  // ICU counts in 32 bits.
  if (text.size() > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorKind::kInput, "text to tokenize: longer than 2 GiB after the normalizer; split it");
  }
  const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
  if (nfc->isNormalizedUTF8(source, status)) return {std::string(text), {}};
  NormalizedText normalized;
  icu::Edits edits;
  icu::StringByteSink<std::string> sink(&normalized.text);
  nfc->normalizeUTF8(0, source, sink, &edits, status);
  check(status);
  normalized.source_ends = source_ends(edits, normalized.text.size());
  return normalized;
}

}  // namespace

Normalizer Normalizer::from_json(const nlohmann::json& description, const std::string& where) {
  Normalizer normalizer;
  if (!description.is_null()) normalizer.add_step(description, where);
  return normalizer;
}

void Normalizer::add_step(const nlohmann::json& description, const std::string& where) {
  const std::string type = string_field(description, "type", where);
  if (type == "Sequence") {
    for (const auto& part : list_field(description, "normalizers", where)) add_step(part, where);
    return;
  }
  if (type == "NFC") {
    steps_.push_back({StepKind::kNfc, "", ""});
  } else if (type == "Prepend") {
    // A prefix may be as long as the text, which may be one character.
    const std::string prefix = string_field(description, "prepend", where);
    growth_ *= 1 + prefix.size();
    steps_.push_back({StepKind::kPrepend, "", prefix});
  } else if (type == "Replace") {
    const std::string pattern = string_field(object_field(description, "pattern", where), "String", where);
    if (pattern.empty()) throw Error(ErrorKind::kInput, concat(where, ": Replace has an empty pattern"));
    const std::string content = string_field(description, "content", where);
    growth_ *= std::max<std::size_t>(1, (content.size() + pattern.size() - 1) / pattern.size());
    steps_.push_back({StepKind::kReplace, pattern, content});
  } else {
    throw Error(ErrorKind::kInput,
                concat(where, ": normalizer ", one_line(type),
                       " is not supported (known: NFC, Prepend, Replace, Sequence, null)"));
  }
  if (growth_ > kMaxGrowth) {
    throw Error(ErrorKind::kInput,
                concat(where, ": ", type, " makes a text more than ", kMaxGrowth, " times as long"));
  }
}

NormalizedText Normalizer::apply(std::string_view text) const {
  NormalizedText normalized{std::string(text), {}};
  for (const Step& step : steps_) {
    NormalizedText next;
    if (step.kind == StepKind::kNfc) {
      next = composed(normalized.text);
    } else if (step.kind == StepKind::kPrepend) {
      next = with_prefix(normalized.text, step.content);
    } else {
      next = with_replaced(normalized.text, step.pattern, step.content);
    }
    normalized = chained(normalized, std::move(next));
  }
  return normalized;
}

}  // namespace foresight
