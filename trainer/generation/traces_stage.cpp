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
#include "trainer/generation/traces_file.h"
#include "trainer/text/chat_rows.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// One completion to write.
struct Job {
  const PromptRow* row;
  std::string prompt;
  std::int64_t sample;

  /// What a completion depends on besides model and settings.
  std::string facts() const {
    return concat(sample, " ", row->source, " ", row->answer, " ", row->columns.dump(), " ", prompt, "\n");
  }
};

/// All completions of a config, and the files of their batches.
struct Plan {
  std::vector<PromptRow> rows;
  std::vector<Job> jobs;  // of `rows`
  std::filesystem::path folder;
  std::size_t batch = 0;

  /// Its name depends only on its rows, so it is found again if other batches are removed or appended.
  std::filesystem::path file_of(std::size_t first) const {
    std::string facts;
    for (std::size_t i = first; i < std::min(jobs.size(), first + batch); ++i) facts += jobs[i].facts();
    return folder / concat("batch-", sha256_hex(facts).substr(0, 16), ".jsonl");
  }
};

/// Folder of finished batches; its name depends on everything, except the rows, that changes their content.
std::filesystem::path batch_folder(const Config& config, const Transformer& model,
                                   const Tokenizer& tokenizer) {
  std::string facts =
      concat(model.fingerprint(), tokenizer.fingerprint(), model.dtype_name(), config.runtime.seed, " ",
             config.traces.max_new_tokens, " ", config.traces.batch, " ", config.traces.temperature, " ",
             config.traces.top_p, " ", config.traces.top_k, "\n");
  for (const std::int32_t token : tokenizer.end_of_sequence()) facts += concat(token, " ");
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
  const GenerationLimits limits{config.traces.max_new_tokens, {}};
  for (const PromptRow& row : plan.rows) {
    const std::string prompt = prompt_text(row, chat);
    try {
      check_prompt(model, encode_prompt(tokenizer, prompt).size(), limits);
    } catch (const Error& error) {
      throw Error(error.kind(), concat("traces.prompts: ", row.source, ": ", error.what(),
                                       " (traces.max_new_tokens), or remove the row"));
    }
    for (std::int64_t sample = 0; sample < config.traces.samples_per_prompt; ++sample)
      plan.jobs.push_back({&row, prompt, sample});
  }
  plan.folder = batch_folder(config, model, tokenizer);
  plan.batch = static_cast<std::size_t>(config.traces.batch);
  return plan;
}

/// For each batch, whether its file exists.
std::vector<bool> finished_batches(const Plan& plan) {
  std::vector<bool> done;
  for (std::size_t first = 0; first < plan.jobs.size(); first += plan.batch)
    done.push_back(std::filesystem::exists(plan.file_of(first)));
  return done;
}

/// The row of a completion: what was generated, then the columns of its prompt. Columns of the prompt's row
/// with the name of one of ours go under "given"; `source` is the row's own if it has one.
std::string trace_line(const Job& job, const std::vector<std::int32_t>& prompt,
                       const std::vector<std::int32_t>& generated, const Tokenizer& tokenizer) {
  const auto& ending = tokenizer.end_of_sequence();
  std::vector<std::int32_t> tokens = prompt;
  tokens.insert(tokens.end(), generated.begin(), generated.end());
  nlohmann::ordered_json row = {{"prompt", job.prompt},
                                {"completion", completion_text(tokenizer, generated)}};
  if (!job.row->answer.empty()) row["answer"] = job.row->answer;
  row["finished"] =
      !generated.empty() && std::find(ending.begin(), ending.end(), generated.back()) != ending.end();
  row["tokens"] = std::move(tokens);
  row["prompt_tokens"] = prompt.size();
  row[job.row->columns.contains("source") ? "prompt_source" : "source"] = job.row->source;
  for (const auto& [name, value] : job.row->columns.items()) {
    if (name == "answer") continue;
    (row.contains(name) ? row["given"][name] : row[name]) = value;
  }
  return row.dump();
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
  const GenerationLimits limits = limits_of(model, tokenizer, config.traces.max_new_tokens);
  const auto generated = generate_batch(model, prompts, sampling, limits, std::move(randoms), on_tokens);
  std::string lines;
  for (std::size_t i = first; i < end; ++i)
    lines += trace_line(jobs[i], prompts[i - first], generated[i - first], tokenizer) + "\n";
  return lines;
}

}  // namespace

std::filesystem::path traces_file(const Config& config) {
  return RunFolder{config.output}.traces_file(config.traces.file);
}

void run_traces(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const ChatTemplate& chat, World& world) {
  require_traces_file(config);
  const Plan plan = make_plan(config, model, tokenizer, chat);
  const std::vector<Job>& jobs = plan.jobs;
  // Only rank 0 looks, because a file may appear meanwhile.
  const std::vector<bool> done = world.broadcast_flags(finished_batches(plan), "generated batches");
  std::vector<std::int64_t> costs;
  for (const bool batch_done : done) costs.push_back(batch_done ? 0 : 1);
  const std::vector<int> rank_of = deal(costs, world.size());
  const auto batches_done = std::count(done.begin(), done.end(), true);
  log_info(concat("traces: ", batches_done, " batches have been generated, ",
                  static_cast<std::int64_t>(done.size()) - batches_done, " are left"));
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
    throw Error(ErrorKind::kInterrupted,
                "traces: stopped; finished batches are kept, run the same command again to resume");
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

void require_prompts(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                     const ChatTemplate& chat) {
  make_plan(config, model, tokenizer, chat);
}

bool has_generated(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                   const ChatTemplate& chat) {
  const std::vector<bool> done = finished_batches(make_plan(config, model, tokenizer, chat));
  return std::find(done.begin(), done.end(), false) == done.end();
}

}  // namespace foresight
