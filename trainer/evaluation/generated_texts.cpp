#include "trainer/evaluation/generated_texts.h"

#include <algorithm>
#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/generation/generate_rows.h"

namespace foresight {
namespace {

/// Filler sentences, which no question is about; written for this project.
const std::vector<std::string>& filler_sentences() {
  static const std::vector<std::string> sentences = {
      "The ferry left the pier a little after noon.",
      "A light rain had fallen over the harbour since morning.",
      "Two gulls sat on the railing and watched the crates.",
      "Nobody on deck was in a hurry that day.",
      "The cook sliced bread and sang an old tune.",
      "Behind the hills the road turned towards the mill.",
      "An engineer wrote a few lines into her notebook.",
      "Children counted the boats that came around the cape.",
      "The lamp in the window burned until late.",
      "Somebody had painted the door a pale green."};
  return sentences;
}

}  // namespace

void require_running() {
  if (stop_requested())
    throw Error(ErrorKind::kInterrupted,
                "evaluate: stopped; run the same command again, which starts the tasks from the beginning");
}

std::string policy_name(const std::vector<Policy>& policies, std::size_t index) {
  return index == 0 ? "full" : policies[index - 1].name;
}

EvictionSelector policies_on_rows(const std::vector<Policy>& policies,
                                  const std::vector<std::string>& names) {
  std::vector<RecordedTrace> rows(names.size());
  std::vector<const RecordedTrace*> pointers;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rows[row].id = names[row];
    pointers.push_back(&rows[row]);
  }
  std::vector<EvictionSelector> selectors;
  for (const Policy& policy : policies) selectors.push_back(policy.make(pointers));
  return side_by_side(std::move(selectors));
}

std::vector<std::vector<Tokens>> generate_under_all(const TaskSetting& setting,
                                                    const std::vector<Policy>& policies,
                                                    const std::string& name, const Tokens& prompt,
                                                    const std::vector<SamplingOptions>& samplings,
                                                    const GenerationLimits& limits) {
  const auto streams = [&](std::size_t copies) {
    std::vector<RandomStream> randoms;
    for (std::size_t copy = 0; copy < copies; ++copy) {
      for (std::size_t row = 0; row < samplings.size(); ++row) {
        randoms.emplace_back(static_cast<std::uint64_t>(setting.seed), "task " + name,
                             std::initializer_list<std::int64_t>{static_cast<std::int64_t>(row)});
      }
    }
    return randoms;
  };
  std::vector<std::vector<Tokens>> texts = {
      generate_rows(*setting.model, prompt, std::nullopt, setting.size, samplings, limits, streams(1))};
  if (policies.empty()) return texts;
  std::vector<std::string> names;
  for (std::size_t row = 0; row < samplings.size(); ++row) names.push_back(concat(name, " row ", row));
  std::vector<SamplingOptions> all_samplings;
  for (std::size_t p = 0; p < policies.size(); ++p)
    all_samplings.insert(all_samplings.end(), samplings.begin(), samplings.end());
  const auto generated = generate_rows(*setting.model, prompt, policies_on_rows(policies, names),
                                       setting.size, all_samplings, limits, streams(policies.size()));
  for (std::size_t p = 0; p < policies.size(); ++p) {
    const auto first = generated.begin() + static_cast<std::ptrdiff_t>(p * samplings.size());
    texts.emplace_back(first, first + static_cast<std::ptrdiff_t>(samplings.size()));
  }
  return texts;
}

std::int64_t equal_prefix(const Tokens& one, const Tokens& two) {
  return std::mismatch(one.begin(), one.end(), two.begin(), two.end()).first - one.begin();
}

bool has_ended(const Tokens& text, const std::vector<std::int32_t>& end_tokens) {
  return !text.empty() && std::find(end_tokens.begin(), end_tokens.end(), text.back()) != end_tokens.end();
}

void fill_with_sentences(Tokens& text, std::int64_t length, const Tokenizer& tokenizer,
                         RandomStream& random) {
  const std::vector<std::string>& sentences = filler_sentences();
  while (static_cast<std::int64_t>(text.size()) < length) {
    const auto pick = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(sentences.size())));
    const Tokens sentence = tokenizer.encode(" " + sentences[pick]);
    text.insert(text.end(), sentence.begin(), sentence.end());
  }
  text.resize(static_cast<std::size_t>(length));
}

}  // namespace foresight
