// A tiny random language model with tokenizer and traces: for tests, demonstrations and fault injection,
// without downloads.
#pragma once

#include <cstdint>
#include <filesystem>

namespace foresight {

/// Writes config.json, model.safetensors (Llama, 2 layers, 4 query heads, 2 KV heads, d 16, random weights
/// from `seed`), tokenizer.json (the 256 bytes and an end token), train.jsonl, evaluation.jsonl and
/// prompts.jsonl to `folder`. The same seed gives the same bytes. Throws Error(kConfig) where one of these
/// files is there and does not belong to a tiny model, Error(kResource) on disk faults.
void make_tiny_model(const std::filesystem::path& folder, std::uint64_t seed);

}  // namespace foresight
