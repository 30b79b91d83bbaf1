#include "trainer/generation/traces_stage.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/trace_rows.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/generation/generate.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// One completion to write.
struct Job {
  const PromptRow* row;
  std::string prompt;
  std::int64_t sample;
};

/// All completions of a config, and the files of their batches.
struct Plan {
  std::vector<PromptRow> rows;
  std::vector<Job> jobs;  // of `rows`
  std::filesystem::path folder;
  std::size_t batch = 0;

  std::filesystem::path file_of(std::size_t first) const {
    return folder / concat("batch-", first / batch, ".jsonl");
  }
};

/// Folder of finished batches; its name changes with everything that changes their content.
std::filesystem::path batch_folder(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                                   const std::vector<Job>& jobs) {
  std::string facts =
      concat(model.fingerprint(), tokenizer.fingerprint(), model.dtype_name(), config.runtime.seed, " ",
             config.traces.max_new_tokens, " ", config.traces.batch, " ", config.traces.temperature, " ",
             config.traces.top_p, " ", config.traces.top_k, "\n");
  for (const std::int32_t token : tokenizer.end_of_sequence()) facts += concat(token, " ");
  for (const Job& job : jobs)
    facts += concat(job.sample, " ", job.row->source, " ", job.row->answer, " ", job.prompt, "\n");
  return RunFolder{config.output}.stage(Stage::kTraces) / sha256_hex(facts).substr(0, 16);
}

Plan make_plan(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
               const ChatTemplate& chat) {
  Plan plan;
  for (const std::string& file : config.traces.prompts) {
    for (PromptRow& row : read_prompt_rows(file)) plan.rows.push_back(std::move(row));
  }
  if (plan.rows.empty())
    throw Error(ErrorKind::kConfig, "traces.prompts: no prompts; name at least one JSONL file with prompts");
  for (const PromptRow& row : plan.rows) {
    // A plain prompt is put to an instruction model as a user's message where the model has a chat template.
    std::vector<ChatMessage> messages = row.messages;
    if (messages.empty() && chat.can_render()) messages = {{"user", row.prompt}};
    const std::string prompt = messages.empty() ? row.prompt : chat.render(messages);
    for (std::int64_t sample = 0; sample < config.traces.samples_per_prompt; ++sample)
      plan.jobs.push_back({&row, prompt, sample});
  }
  plan.folder = batch_folder(config, model, tokenizer, plan.jobs);
  plan.batch = static_cast<std::size_t>(config.traces.batch);
  return plan;
}

/// Of each batch, whether its file is there.
std::vector<bool> finished_batches(const Plan& plan) {
  std::vector<bool> done;
  for (std::size_t first = 0; first < plan.jobs.size(); first += plan.batch)
    done.push_back(std::filesystem::exists(plan.file_of(first)));
  return done;
}

std::string run_batch(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                      const std::vector<Job>& jobs, std::size_t first, std::size_t end,
                      const std::function<void(std::int64_t)>& on_tokens) {
  std::vector<std::vector<std::int32_t>> prompts;
  std::vector<RandomStream> randoms;
  for (std::size_t i = first; i < end; ++i) {
    prompts.push_back(encode_prompt(tokenizer, jobs[i].prompt));
    randoms.emplace_back(static_cast<std::uint64_t>(config.runtime.seed), "traces " + jobs[i].row->source,
                         std::initializer_list<std::int64_t>{jobs[i].sample});
  }
  const SamplingOptions sampling{config.traces.temperature, config.traces.top_p, config.traces.top_k};
  const GenerationLimits limits{config.traces.max_new_tokens, tokenizer.end_of_sequence()};
  const auto generated = generate_batch(model, prompts, sampling, limits, std::move(randoms), on_tokens);
  std::string lines;
  for (std::size_t i = first; i < end; ++i) {
    std::vector<std::int32_t> tokens = generated[i - first];
    const auto& ending = tokenizer.end_of_sequence();
    const bool finished =
        !tokens.empty() && std::find(ending.begin(), ending.end(), tokens.back()) != ending.end();
    nlohmann::ordered_json row = {{"prompt", jobs[i].prompt},
                                  {"completion", completion_text(tokenizer, tokens)}};
    if (!jobs[i].row->answer.empty()) row["answer"] = jobs[i].row->answer;
    row["finished"] = finished;
    row["source"] = jobs[i].row->source;
    lines += row.dump() + "\n";
  }
  return lines;
}

}  // namespace

std::filesystem::path traces_file(const Config& config) {
  return RunFolder{config.output}.traces_file(config.traces.file);
}

void run_traces(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const ChatTemplate& chat, World& world) {
  const Plan plan = make_plan(config, model, tokenizer, chat);
  const std::vector<Job>& jobs = plan.jobs;
  // Rank 0 looks: a file may appear meanwhile.
  const std::vector<bool> done = world.broadcast_flags(finished_batches(plan), "generated batches");
  std::vector<std::int64_t> costs;
  for (const bool batch_done : done) costs.push_back(batch_done ? 0 : 1);
  const std::vector<int> rank_of = deal(costs, world.size());
  const auto batches_done = std::count(done.begin(), done.end(), true);
  log_info(concat("traces: ", batches_done, " batches are generated, ",
                  static_cast<std::int64_t>(done.size()) - batches_done, " to do"));
  Progress progress("traces", "traces", static_cast<std::int64_t>(jobs.size()));
  std::int64_t tokens = 0;
  bool stopped = false;
  for (std::size_t b = 0; b < done.size() && !stopped; ++b) {
    stopped = stop_requested();
    if (stopped) break;
    const std::size_t first = b * plan.batch, end = std::min(jobs.size(), first + plan.batch);
    if (!done[b] && rank_of[b] == world.rank()) {
      const std::string lines =
          run_batch(config, model, tokenizer, jobs, first, end, [&](std::int64_t count) {
            progress.update(static_cast<std::int64_t>(first), concat(tokens += count, " tokens"));
          });
      stopped = stop_requested();  // the batch was cut short
      if (!stopped) write_file_atomically(plan.file_of(first), lines);
    }
    progress.update(static_cast<std::int64_t>(end));
  }
  if (world.any(stopped, "traces"))
    throw Error(ErrorKind::kInterrupted, "traces: stopped; finished batches are kept, run again to go on");
  progress.finish();
  if (world.leads()) {
    std::string all;
    for (std::size_t first = 0; first < jobs.size(); first += plan.batch)
      all += read_file(plan.file_of(first));
    write_file_atomically(traces_file(config), all);
  }
  world.barrier("traces written");
  log_info(concat("traces: ", jobs.size(), " traces in ", traces_file(config).string()));
}

bool has_generated(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                   const ChatTemplate& chat) {
  const std::vector<bool> done = finished_batches(make_plan(config, model, tokenizer, chat));
  return std::find(done.begin(), done.end(), false) == done.end();
}

}  // namespace foresight
