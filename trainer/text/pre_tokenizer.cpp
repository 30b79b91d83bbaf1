#include "trainer/text/pre_tokenizer.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

// English contractions; letters, numbers or signs with at most one space before; blanks without the last one
// before a word; blanks (Radford et al. 2019).
constexpr const char* kByteLevelExpression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior behavior_named(const std::string& name, const std::string& where) {
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw Error(ErrorKind::kInput, concat(where, ": split behavior ", one_line(name), " is not supported"));
}

/// A match is joined to the stretch before it, unless that is a match too.
std::vector<ByteRange> merge_with_previous(const std::vector<ByteRange>& cuts) {
  std::vector<ByteRange> merged;
  bool previous_matched = false;
  for (const ByteRange& cut : cuts) {
    if (cut.matched && !previous_matched && !merged.empty()) {
      merged.back().end = cut.end;
    } else {
      merged.push_back(cut);
    }
    previous_matched = cut.matched;
  }
  return merged;
}

/// A match is joined to the stretch after it, unless that is a match too.
std::vector<ByteRange> merge_with_next(const std::vector<ByteRange>& cuts) {
  std::vector<ByteRange> merged;
  bool waiting = false;
  for (const ByteRange& cut : cuts) {
    if (waiting && !cut.matched) {
      merged.back().end = cut.end;
    } else {
      merged.push_back(cut);
    }
    waiting = cut.matched;
  }
  return merged;
}

/// Joins neighbours of the same kind.
std::vector<ByteRange> merge_runs(const std::vector<ByteRange>& cuts) {
  std::vector<ByteRange> merged;
  for (const ByteRange& cut : cuts) {
    if (!merged.empty() && merged.back().matched == cut.matched) {
      merged.back().end = cut.end;
    } else {
      merged.push_back(cut);
    }
  }
  return merged;
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& description, const std::string& where) {
  PreTokenizer result;
  if (!description.is_null()) result.add_step(description, where);
  if (!result.metaspace_.empty() && result.has_byte_level_) {
    throw Error(ErrorKind::kInput, concat(where, ": Metaspace and ByteLevel together are not supported"));
  }
  return result;
}

void PreTokenizer::add_step(const Json& description, const std::string& where) {
  const std::string type = string_field(description, "type", where);
  if (type == "Sequence") {
    for (const Json& step : list_field(description, "pretokenizers", where)) add_step(step, where);
    return;
  }
  if (has_byte_level_) {
    throw Error(ErrorKind::kInput, concat(where, ": ", one_line(type),
                                          " behind ByteLevel is not supported; ByteLevel must be last"));
  }
  if (type == "ByteLevel") {
    has_byte_level_ = true;
    add_prefix_space_ = bool_field(description, "add_prefix_space", true, where);
    if (bool_field(description, "use_regex", true, where)) {
      byte_level_pattern_ = Pattern::regex(kByteLevelExpression, where);
    }
  } else if (type == "Digits") {
    const bool single = bool_field(description, "individual_digits", false, where);
    splits_.push_back({Pattern::regex("\\p{N}", where),
                       single ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false});
  } else if (type == "Split") {
    splits_.push_back(split_from_json(description, where));
  } else if (type == "Metaspace") {
    add_metaspace(description, where);
  } else {
    throw Error(ErrorKind::kInput,
                concat(where, ": pre-tokenizer ", one_line(type),
                       " is not supported (known: ByteLevel, Digits, Metaspace, Split, Sequence)"));
  }
}

void PreTokenizer::add_metaspace(const Json& description, const std::string& where) {
  if (!splits_.empty() || !metaspace_.empty()) {
    throw Error(ErrorKind::kInput, concat(where, ": Metaspace behind another step is not supported"));
  }
  metaspace_ = string_field(description, "replacement", where);
  if (metaspace_.empty() || utf8_step(metaspace_, 0).bytes != metaspace_.size()) {
    throw Error(ErrorKind::kInput, concat(where, ": \"replacement\": expected one character, got \"",
                                          one_line(metaspace_), "\""));
  }
  prepend_scheme_ = read_prepend_scheme(description, where);
  if (bool_field(description, "split", true, where)) {
    splits_.push_back({Pattern::literal(metaspace_, where), SplitBehavior::kMergedWithNext, false});
  }
}

std::optional<NormalizedText> PreTokenizer::rewritten(std::string_view text, bool at_start) const {
  if (metaspace_.empty()) return std::nullopt;
  NormalizedText result = with_replaced(text, " ", metaspace_);
  const bool prepend =
      prepend_scheme_ == PrependScheme::kAlways || (prepend_scheme_ == PrependScheme::kFirst && at_start);
  if (prepend && !result.text.starts_with(metaspace_)) {
    result = chained(result, with_prefix(result.text, metaspace_));
  }
  return result;
}

PreTokenizer::Split PreTokenizer::split_from_json(const Json& description, const std::string& where) {
  const SplitBehavior behavior = behavior_named(string_field(description, "behavior", where), where);
  const bool invert = bool_field(description, "invert", false, where);
  const Json& pattern = object_field(description, "pattern", where);
  if (pattern.contains("Regex")) {
    return {Pattern::regex(string_field(pattern, "Regex", where), where), behavior, invert};
  }
  return {Pattern::literal(string_field(pattern, "String", where), where), behavior, invert};
}

std::vector<ByteRange> PreTokenizer::apply(const Split& split, std::string_view text) {
  std::vector<ByteRange> cuts = split.pattern.cut(text);
  if (split.invert) {
    for (ByteRange& cut : cuts) cut.matched = !cut.matched;
  }
  switch (split.behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      std::erase_if(cuts, [](const ByteRange& cut) { return cut.matched; });
      break;
    case SplitBehavior::kMergedWithPrevious:
      cuts = merge_with_previous(cuts);
      break;
    case SplitBehavior::kMergedWithNext:
      cuts = merge_with_next(cuts);
      break;
    case SplitBehavior::kContiguous:
      cuts = merge_runs(cuts);
      break;
  }
  std::erase_if(cuts, [](const ByteRange& cut) { return cut.begin == cut.end; });
  return cuts;
}

void PreTokenizer::for_each_piece(std::string_view text,
                                  const std::function<void(std::string_view, std::int64_t)>& use) const {
  if (text.empty()) return;
  std::vector<ByteRange> ranges = {{0, text.size(), false}};
  for (const Split& split : splits_) {
    std::vector<ByteRange> finer;
    for (const ByteRange& range : ranges) {
      for (const ByteRange& cut : apply(split, text.substr(range.begin, range.end - range.begin))) {
        finer.push_back({range.begin + cut.begin, range.begin + cut.end, false});
      }
    }
    ranges = std::move(finer);
  }
  std::string spaced;
  for (const ByteRange& range : ranges) {
    std::string_view part = text.substr(range.begin, range.end - range.begin);
    auto begin = static_cast<std::int64_t>(range.begin);
    if (add_prefix_space_ && part.front() != ' ') {
      spaced.assign(1, ' ').append(part);
      part = spaced;
      --begin;
    }
    if (!byte_level_pattern_) {
      use(part, begin);
      continue;
    }
    for (const ByteRange& cut : byte_level_pattern_->cut(part)) {
      use(part.substr(cut.begin, cut.end - cut.begin), begin + static_cast<std::int64_t>(cut.begin));
    }
  }
}

}  // namespace foresight
