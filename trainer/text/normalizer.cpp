#include "trainer/text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

void check(UErrorCode status) {
  // ICU's data are linked into it: nothing but memory can be short.
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

}  // namespace

Normalizer Normalizer::from_json(const nlohmann::json& description, const std::string& where) {
  Normalizer normalizer;
  if (description.is_null()) return normalizer;
  const std::string type = string_field(description, "type", where);
  if (type == "Sequence") {
    for (const auto& part : list_field(description, "normalizers", where)) {
      normalizer.nfc_ |= from_json(part, where).nfc_;
    }
  } else if (type == "NFC") {
    normalizer.nfc_ = true;
  } else {
    throw Error(ErrorKind::kInput, concat(where, ": normalizer ", one_line(type),
                                          " is not supported (known: NFC, Sequence, null)"));
  }
  return normalizer;
}

NormalizedText Normalizer::apply(std::string_view text) const {
  NormalizedText normalized;
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  if (!nfc_ || ascii) return {std::string(text), {}};
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  check(status);
  // The length fits: encode() takes 256 MiB at most.
  const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
  if (nfc->isNormalizedUTF8(source, status)) return {std::string(text), {}};
  icu::Edits edits;
  icu::StringByteSink<std::string> sink(&normalized.text);
  nfc->normalizeUTF8(0, source, sink, &edits, status);
  check(status);
  normalized.source_ends = source_ends(edits, normalized.text.size());
  return normalized;
}

}  // namespace foresight
