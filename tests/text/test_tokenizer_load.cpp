// The errors for a damaged or unsupported tokenizer.json.
#include <algorithm>

#include "tests/text/fixtures.h"
#include "trainer/text/tokenizer.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

/// The smallest vocabulary that works: three letters and two merges.
Json small_tokenizer() {
  return Json::parse(R"({
    "added_tokens": [{"id": 5, "content": "<|end|>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4},
              "merges": ["a b", ["ab", "c"]]}
  })");
}

Tokenizer load(const Json& json, const char* config = nullptr, const char* generation = nullptr,
               const char* model = nullptr) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json.dump());
  if (config != nullptr) folder.write("tokenizer_config.json", config);
  if (generation != nullptr) folder.write("generation_config.json", generation);
  if (model != nullptr) folder.write("config.json", model);
  return Tokenizer::load(folder.path());
}

/// Whether loading the small tokenizer with `value` at `pointer` is refused with a message that has `part`.
bool refused(const std::string& pointer, const char* value, const std::string& part) {
  Json json = small_tokenizer();
  json[Json::json_pointer(pointer)] = Json::parse(value);
  const std::string message = input_error([&] { load(json); });
  UNSCOPED_INFO(message);
  return message.find("tokenizer.json") != std::string::npos && message.find(part) != std::string::npos;
}

bool config_refused(const char* config, const char* generation, const std::string& part) {
  const std::string message = input_error([&] { load(small_tokenizer(), config, generation); });
  UNSCOPED_INFO(message);
  return message.find(part) != std::string::npos;
}

using Tokens = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("tokenizer file: merges may be written as text or as pairs", "[text]") {
  const Tokenizer tokenizer = load(small_tokenizer());
  CHECK(tokenizer.encode("abcab<|end|>c") == Tokens{4, 3, 5, 2});
  CHECK(tokenizer.encode("axb") ==
        Tokens{3});  // no token for x: dropped before merging, as tokenizers does without unk_token
  CHECK(tokenizer.vocabulary_size() == 6);
  CHECK(tokenizer.end_of_sequence().empty());
  const Encoding encoding = tokenizer.encode_with_ends("xaxxbx");
  CHECK(tokenizer.encode_with_ends("xaxxcx").ends == std::vector<std::size_t>{2, 6});
  CHECK(encoding.ends == std::vector<std::size_t>{6});
}

TEST_CASE("tokenizer file: ids may have holes, which decode to nothing", "[text]") {
  Json json = small_tokenizer();
  json["added_tokens"][0]["id"] = 9;
  const Tokenizer tokenizer = load(json);
  CHECK(tokenizer.vocabulary_size() == 10);
  CHECK(tokenizer.decode(Tokens{0, 7, 9}) == "a<|end|>");
  CHECK(tokenizer.decode(Tokens{0, 7, 9}, true) == "a");
  CHECK(tokenizer.token_bytes(7).empty());
}

TEST_CASE("tokenizer file: a missing, damaged or oversized file is refused", "[text]") {
  const TemporaryFolder folder;
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("tokenizer.json: not there") !=
        std::string::npos);
  folder.write("tokenizer.json", "{\"model\": ");
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("tokenizer.json: ") != std::string::npos);
  folder.write("tokenizer.json", "[]");
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("expected a JSON object, got array") !=
        std::string::npos);
  folder.write("tokenizer.json", "{\"model\": \"\xFF\"}");
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("not UTF-8 at byte 11") !=
        std::string::npos);
  folder.write("tokenizer.json", "{\"model\": " + std::string(1000, '[') + std::string(1000, ']') + "}");
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("nested deeper") != std::string::npos);
  std::filesystem::resize_file(folder.path() / "tokenizer.json", (std::uintmax_t{256} << 20) + 1);  // sparse
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("bytes, at most 268435456 are read") !=
        std::string::npos);
}

TEST_CASE("tokenizer file: bad vocabularies and merges are refused with the entry", "[text]") {
  CHECK(refused("/model", "null", "\"model\": expected an object"));
  CHECK(refused("/model/type", "\"WordPiece\"", "model type WordPiece is not supported"));
  CHECK(refused("/model/vocab", "[]", "\"vocab\": expected an object, got array"));
  CHECK(refused("/model/vocab/a", "-1", "vocab \"a\": expected a token id from 0 to 2147483647, got -1"));
  CHECK(refused("/model/vocab/a", "\"0\"", "vocab \"a\": expected a token id"));
  CHECK(refused("/model/vocab/a", "0.5", "got 0.5"));
  CHECK(refused("/model/vocab/a", "[0]", "got array"));
  CHECK(refused("/model/vocab/a", "1", "id 1 belongs to both \"a\" and \"b\""));
  CHECK(refused("/model/vocab/a", "2147483647", "token \"a\" has id 2147483647, expected 0 to 1043"));
  CHECK(refused("/model/merges", "{}", "\"merges\": expected a list, got object"));
  CHECK(refused("/model/merges/1", "\"ab x\"", "merges[1]: token \"x\" is not in the vocabulary"));
  CHECK(refused("/model/merges/1", "\"b c\"", "merges[1]: token \"bc\" is not in the vocabulary"));
  CHECK(refused("/model/merges/0", "\"ab\"", "merges[0]: expected \"left right\""));
  CHECK(refused("/model/merges/0", "\"a b c\"", "merges[0]: expected \"left right\""));
  CHECK(refused("/model/merges/0", "[\"a\", 5]", "merges[0]: expected \"left right\""));
  CHECK(refused("/model/dropout", "0.1", "\"dropout\" is set"));
  CHECK(refused("/model/continuing_subword_prefix", "\"##\"", "\"continuing_subword_prefix\" is set"));
  CHECK(refused("/model/end_of_word_suffix", "\"</w>\"", "\"end_of_word_suffix\" is set"));
  CHECK(refused("/model/unk_token", "\"<unk>\"", "unk_token is not in the vocabulary"));
  CHECK(refused("/model/fuse_unk", "1", "\"fuse_unk\": expected true or false, got number"));
}

TEST_CASE("tokenizer file: bad added tokens are refused with the entry", "[text]") {
  CHECK(refused("/added_tokens", "{}", "added_tokens: expected a list"));
  CHECK(refused("/added_tokens/0", "3", "added_tokens[0]: expected an object"));
  CHECK(refused("/added_tokens/0/content", "null", "\"content\": expected a string"));
  CHECK(refused("/added_tokens/0/id", "-7", "added_tokens[0]: id: expected a token id"));
  CHECK(refused("/added_tokens/0/id", "0", "id 0 belongs to both \"a\" and \"<|end|>\""));
  CHECK(refused("/added_tokens/0/content", "\"a\"", "token \"a\" has both id 0 and 5"));
  CHECK(refused("/added_tokens/0/lstrip", "\"yes\"", "\"lstrip\": expected true or false"));
}

TEST_CASE("tokenizer file: unsupported parts are refused by name", "[text]") {
  CHECK(refused("/normalizer", R"({"type": "Lowercase"})", "normalizer Lowercase is not supported"));
  CHECK(refused("/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFKC"}]})",
                "normalizer NFKC"));
  CHECK(refused("/normalizer", R"("NFC")", "expected an object"));
  CHECK(refused("/normalizer", R"({"type": "Replace", "pattern": {"Regex": "x"}, "content": ""})",
                "normalizer: \"String\": expected a string"));
  CHECK(refused("/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})",
                "normalizer: Replace has an empty pattern"));
  CHECK(refused("/normalizer", R"({"type": "Prepend"})", "\"prepend\": expected a string"));
  CHECK(refused("/pre_tokenizer", "null", "a ByteLevel decoder, but no ByteLevel pre-tokenizer"));
  CHECK(refused("/pre_tokenizer", R"({"type": "Whitespace"})", "pre-tokenizer Whitespace"));
  CHECK(refused("/decoder", "null", "no ByteLevel decoder"));
  CHECK(refused("/decoder", R"({"type": "WordPiece"})", "decoder WordPiece is not supported"));
  CHECK(refused("/decoder", R"({"type": "Metaspace"})", "\"replacement\": expected a string"));
  CHECK(refused("/decoder", R"({"type": "Metaspace", "replacement": "_"})", "no ByteLevel decoder"));
  CHECK(refused("/decoder", R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})",
                "expected one character, got \"ab\""));
  CHECK(refused("/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})",
                "\"start\": expected a count, got -1"));
  CHECK(refused("/decoder", R"({"type": "Sequence", "decoders": [{"type": "ByteLevel"}, {"type": "Fuse"}]})",
                "Fuse behind ByteLevel"));
  CHECK(refused("/decoder", R"({"type": "Replace", "pattern": {"String": ""}, "content": "x"})",
                "empty pattern"));
  CHECK(refused("/decoder", R"({"type": "Replace", "pattern": {"Regex": "x"}, "content": "x"})",
                "\"String\": expected a string"));
  CHECK(refused("/post_processor", R"({"type": "BertProcessing"})",
                "post-processor BertProcessing is not supported"));
  const std::string special =
      R"({"type": "TemplateProcessing", "special_tokens": {"s": {"id": "s", "ids": [ID]}}, "single": PARTS})";
  const auto post = [&](std::string id, const std::string& parts) {
    std::string text = special;
    text.replace(text.find("ID"), 2, id);
    return text.replace(text.find("PARTS"), 5, parts);
  };
  const std::string good = R"([{"SpecialToken": {"id": "s"}}, {"Sequence": {"id": "A"}}])";
  CHECK(refused("/post_processor", post("77", good).c_str(), "id 77 is not in the vocabulary"));
  CHECK(refused("/post_processor", post("-1", good).c_str(), "expected a token id"));
  CHECK(refused("/post_processor", post("1", R"([{"SpecialToken": {"id": "t"}}])").c_str(),
                "\"t\": expected an object"));
  CHECK(
      refused("/post_processor", post("1", R"([{"SpecialToken": {"id": "s"}}])").c_str(), "has no Sequence"));
  CHECK(refused("/post_processor",
                post("1", R"([{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}])").c_str(),
                "one Sequence"));
}

TEST_CASE("tokenizer file: end tokens come from both configs, each once", "[text]") {
  Json json = small_tokenizer();
  json["added_tokens"].push_back({{"id", 6}, {"content", "<|im_end|>"}, {"special", true}});
  CHECK(load(json, R"({"eos_token": "<|end|>"})", R"({"eos_token_id": [5, 2]})").end_of_sequence() ==
        Tokens{5, 2, 6});
  CHECK(load(json, R"({"eos_token": {"content": "c"}})", R"({"eos_token_id": 6})").end_of_sequence() ==
        Tokens{2, 6});
  CHECK(load(json, R"({"eos_token": null})", "{}").end_of_sequence() == Tokens{6});
  CHECK(config_refused(R"({"eos_token": "<|no|>"})", nullptr,
                       "tokenizer_config.json: eos_token \"<|no|>\" is not in tokenizer.json"));
  CHECK(config_refused(R"({"eos_token": 5})", nullptr, "\"eos_token\": expected a string"));
  CHECK(config_refused(R"({"eos_token": {}})", nullptr, "\"content\": expected a string"));
  CHECK(config_refused("[]", nullptr, "tokenizer_config.json: expected a JSON object"));
  CHECK(config_refused(nullptr, R"({"eos_token_id": 88})",
                       "generation_config.json: eos_token_id 88 is not in tokenizer.json"));
  CHECK(config_refused(nullptr, R"({"eos_token_id": [1, "x"]})", "eos_token_id: expected a token id"));
}

TEST_CASE("tokenizer file: end tokens of config.json count where generation_config.json names none",
          "[text]") {
  const Json json = small_tokenizer();
  const auto ends = [&](const char* generation, const char* model) {
    return load(json, nullptr, generation, model).end_of_sequence();
  };
  CHECK(ends(nullptr, R"({"eos_token_id": 5})") == Tokens{5});
  CHECK(ends(nullptr, R"({"eos_token_id": [5, 2]})") == Tokens{5, 2});
  CHECK(ends("{}", R"({"eos_token_id": 5})") == Tokens{5});
  CHECK(ends(R"({"eos_token_id": null})", R"({"eos_token_id": 5})") == Tokens{5});
  CHECK(ends(R"({"eos_token_id": 1})", R"({"eos_token_id": 5})") == Tokens{1});
  CHECK(ends(R"({"eos_token_id": 1})", R"({"eos_token_id": "x"})") == Tokens{1});
  CHECK(load(json, R"({"eos_token": "c"})", nullptr, R"({"eos_token_id": 5})").end_of_sequence() ==
        Tokens{2, 5});
  const auto fault = [&](const char* model) {
    return input_error([&] { load(json, nullptr, nullptr, model); });
  };
  CHECK(fault(R"({"eos_token_id": ["x"]})").find("config.json: eos_token_id: expected a token id") !=
        std::string::npos);
  CHECK(fault(R"({"eos_token_id": {}})").find("eos_token_id: expected a token id") != std::string::npos);
  CHECK(fault(R"({"eos_token_id": 88})").find("/config.json: eos_token_id 88 is not in tokenizer.json") !=
        std::string::npos);
}

TEST_CASE("tokenizer file: an end token of -1 means none", "[text]") {
  const Json json = small_tokenizer();
  CHECK(load(json, nullptr, R"({"eos_token_id": -1})", R"({"eos_token_id": 5})").end_of_sequence().empty());
  CHECK(load(json, nullptr, R"({"eos_token_id": [-1, 2]})").end_of_sequence() == Tokens{2});
  CHECK(load(json, nullptr, nullptr, R"({"eos_token_id": -1})").end_of_sequence().empty());
  CHECK(config_refused(nullptr, R"({"eos_token_id": -2})", "eos_token_id: expected a token id"));
}

TEST_CASE("tokenizer file: a pointer of Git LFS in its place is an error", "[text]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.json",
               "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17209920\n");
  CHECK(input_error([&] {
          Tokenizer::load(folder.path());
        }).find("tokenizer.json: the pointer that Git LFS") != std::string::npos);
}

TEST_CASE("tokenizer file: an id far beyond the tokens is refused, so that holes cannot fill memory",
          "[text]") {
  CHECK(refused("/added_tokens/0/id", "16000000", "has id 16000000, expected 0 to 1047 for 6 tokens"));
  CHECK(refused("/model/vocab/a", "1044", "has id 1044, expected 0 to 1043 for 5 tokens"));
  Json json = small_tokenizer();
  json["added_tokens"][0]["id"] = 1047;
  CHECK(load(json).vocabulary_size() == 1048);
}

TEST_CASE("tokenizer file: parts that multiply a text are bounded", "[text]") {
  Json post = {{"type", "TemplateProcessing"}, {"special_tokens", {{"s", {{"ids", Json::array()}}}}}};
  for (int i = 0; i < 100; ++i) post["special_tokens"]["s"]["ids"].push_back(1);
  post["single"] = Json::array({{{"Sequence", {{"id", "A"}}}}});
  for (int i = 0; i < 2; ++i) post["single"].push_back({{"SpecialToken", {{"id", "s"}}}});
  Json json = small_tokenizer();
  json["post_processor"] = post;
  CHECK(load(json).encode("a", true).size() == 201);
  post["single"].push_back({{"SpecialToken", {{"id", "s"}}}});
  CHECK(refused("/post_processor", post.dump().c_str(), "puts more than 256 tokens around a text"));
  const Json twice = {{"type", "Sequence"}, {"processors", {json["post_processor"], json["post_processor"]}}};
  CHECK(refused("/post_processor", twice.dump().c_str(), "puts more than 256 tokens around a text"));

  Json decoders = Json::array();
  for (int i = 0; i < 7; ++i) {
    decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", "aa"}}}, {"content", "aaa"}});
  }
  decoders.push_back({{"type", "ByteLevel"}});
  CHECK(refused("/decoder", Json{{"type", "Sequence"}, {"decoders", decoders}}.dump().c_str(),
                "Replace makes a text more than 64 times as long"));
}

TEST_CASE("tokenizer file: normalizers that multiply a text are bounded", "[text]") {
  const Json prepend = {{"type", "Prepend"}, {"prepend", std::string(70, 'x')}};
  CHECK(refused("/normalizer", prepend.dump().c_str(), "Prepend makes a text more than 64 times as long"));
  Json steps = Json::array();
  for (int i = 0; i < 7; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  }
  CHECK(refused("/normalizer", Json{{"type", "Sequence"}, {"normalizers", steps}}.dump().c_str(),
                "Replace makes a text more than 64 times as long"));
}

TEST_CASE("tokenizer file: a character vocabulary needs a decoder, and unknown characters a token",
          "[text]") {
  Json json = Json::parse(R"({
    "pre_tokenizer": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "\u4e2d": 1, "a\u4e2d": 2, "<unk>": 3}, "merges": [["a", "\u4e2d"]]}
  })");
  CHECK(load(json).encode("a\u4e2d \u4e2d") == Tokens{2, 1});  // no token for the blank: dropped
  json["model"]["unk_token"] = "<unk>";
  const Tokenizer tokenizer = load(json);
  CHECK(tokenizer.encode("\u4e2d\u6587\u6587") == Tokens{1, 3, 3});
  CHECK(tokenizer.encode_with_ends("\u4e2d\u6587a").ends == std::vector<std::size_t>{3, 6, 7});
  json["model"]["fuse_unk"] = true;
  CHECK(load(json).encode("\u4e2d\u6587\u6587") == Tokens{1, 3});
  json["decoder"] = nullptr;
  CHECK(input_error([&] { load(json); }).find("decoder: no decoder, but no ByteLevel pre-tokenizer") !=
        std::string::npos);
}

TEST_CASE("tokenizer file: names are shown on one line, and nothing may stand twice", "[text]") {
  CHECK(refused("/model/type", R"("a\nb")", "model type a\\nb is not supported"));
  CHECK(refused("/normalizer", R"({"type": "\u001b[2J"})", "normalizer \\x1b[2J is not supported"));
  CHECK(refused("/model/merges/1", R"(["a\n", "b"])", "token \"a\\n\" is not in the vocabulary"));
  CHECK(refused("/model/vocab/a", "[[[[[[[[[[]]]]]]]]]]", "got array"));
  const TemporaryFolder folder;
  folder.write("tokenizer.json", R"({"model": {"vocab": {"a": 0, "a": 1}}})");
  CHECK(input_error([&] { Tokenizer::load(folder.path()); }).find("\"a\" occurs twice") != std::string::npos);
}

TEST_CASE("tokenizer file: a pattern that gives up on a text is named with its file", "[text]") {
  Json json = small_tokenizer();
  const Json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "(a+)+$"}}}};
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, json["pre_tokenizer"]}}};
  const Tokenizer tokenizer = load(json);
  const std::string message = input_error([&] { tokenizer.encode(std::string(60, 'a') + "b"); });
  CHECK(message.find("tokenizer.json: pre_tokenizer: the pattern (a+)+$ failed near byte 0") !=
        std::string::npos);
}

}  // namespace foresight
