#include "trainer/text/bpe.h"

#include <algorithm>
#include <queue>

#include "trainer/base/utf8.h"

namespace foresight {

namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
}

/// A merge that may have become stale since it was queued.
struct Candidate {
  std::int32_t rank, left, merged;
  bool operator<(const Candidate& other) const {  // std::priority_queue: the "largest" first
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

}  // namespace

std::size_t BytePairModel::PairHash::operator()(std::uint64_t pair) const {
  pair *= 0x9E3779B97F4A7C15u;  // Fibonacci hashing: ids are small numbers
  return static_cast<std::size_t>(pair ^ (pair >> 32));
}

std::int32_t BytePairModel::unit_id(std::string_view unit) const {
  if (byte_level_) return byte_ids_[static_cast<std::uint8_t>(unit.front())];
  const auto found = character_ids_.find(utf8_step(unit, 0).code_point);
  return found == character_ids_.end() ? -1 : found->second;
}

void BytePairModel::find_fallback(std::string_view unit, std::vector<std::int32_t>& ids) const {
  ids.clear();
  for (const char byte : unit) {
    const std::vector<std::int32_t>& more = fallback_ids_[static_cast<std::uint8_t>(byte)];
    if (more.empty()) return ids.clear();
    ids.insert(ids.end(), more.begin(), more.end());
  }
}

std::vector<BytePairModel::Symbol> BytePairModel::first_symbols(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  std::vector<std::int32_t> fallback;
  std::uint32_t unknown_bytes = 0, dropped_bytes = 0;
  const auto push = [&](std::int32_t id, std::uint32_t bytes) {
    symbols.push_back({id, bytes + dropped_bytes, 0, 0});
    dropped_bytes = 0;
  };
  const auto flush_unknown = [&] {
    if (unknown_bytes > 0) push(*unknown_, unknown_bytes);
    unknown_bytes = 0;
  };
  std::uint32_t bytes = 0;
  for (std::size_t at = 0; at < piece.size(); at += bytes) {
    bytes = byte_level_ ? 1 : static_cast<std::uint32_t>(utf8_step(piece, at).bytes);
    const std::string_view unit = piece.substr(at, bytes);
    const std::int32_t id = unit_id(unit);
    if (id >= 0) {
      flush_unknown();
      push(id, bytes);
      continue;
    }
    find_fallback(unit, fallback);
    if (!fallback.empty()) {
      // An unknown token that waits comes after these, as in `tokenizers`.
      for (std::size_t index = 0; index < fallback.size(); ++index)
        push(fallback[index], index == 0 ? bytes : 0);
    } else if (unknown_) {
      if (!fuse_unknown_) flush_unknown();
      unknown_bytes += bytes;
    } else {
      dropped_bytes += bytes;  // it has no token; the next token takes its place in the text
    }
  }
  flush_unknown();
  if (!symbols.empty()) symbols.back().bytes += dropped_bytes;
  for (std::size_t index = 0; index < symbols.size(); ++index) {
    symbols[index].previous = static_cast<std::int32_t>(index) - 1;
    symbols[index].following = index + 1 < symbols.size() ? static_cast<std::int32_t>(index) + 1 : -1;
  }
  return symbols;
}

const BytePairModel::Merge* BytePairModel::find_merge(const std::vector<Symbol>& symbols,
                                                      std::int32_t left) const {
  if (left < 0) return nullptr;
  const Symbol& symbol = symbols[static_cast<std::size_t>(left)];
  if (symbol.following < 0) return nullptr;
  const auto found =
      merges_.find(pair_key(symbol.id, symbols[static_cast<std::size_t>(symbol.following)].id));
  return found == merges_.end() ? nullptr : &found->second;
}

/// Applies merges, lowest rank first, then leftmost; a heap holds the candidates. Absorbed symbols get id -1.
void BytePairModel::merge(std::vector<Symbol>& symbols) const {
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate> candidates({}, std::move(storage));
  const auto queue = [&](std::int32_t left) {
    if (const Merge* merge = find_merge(symbols, left)) candidates.push({merge->rank, left, merge->merged});
  };
  for (std::size_t index = 0; index < symbols.size(); ++index) queue(static_cast<std::int32_t>(index));
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[static_cast<std::size_t>(best.left)];
    if (left.id < 0) continue;
    const Merge* still_there = find_merge(symbols, best.left);
    if (still_there == nullptr || still_there->merged != best.merged) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.following)];
    left.id = best.merged;
    left.bytes += right.bytes;
    left.following = right.following;
    right.id = -1;
    if (left.following >= 0) symbols[static_cast<std::size_t>(left.following)].previous = best.left;
    queue(left.previous);
    queue(best.left);
  }
}

void BytePairModel::encode(std::string_view piece, std::vector<PlacedToken>& tokens) const {
  if (ignore_merges_) {
    const auto whole = whole_pieces_.find(std::string(piece));
    if (whole != whole_pieces_.end()) {
      tokens.push_back({whole->second, piece.size()});
      return;
    }
  }
  std::vector<Symbol> symbols = first_symbols(piece);
  merge(symbols);
  std::size_t end = 0;
  for (const Symbol& symbol : symbols) {
    if (symbol.id < 0) continue;
    end += symbol.bytes;
    tokens.push_back({symbol.id, end});
  }
}

}  // namespace foresight
