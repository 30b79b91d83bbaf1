#include "trainer/traces/recorded_trace.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/comm/agreement.h"
#include "trainer/model/tensor_io.h"
#include "trainer/traces/shared_traces.h"

namespace foresight {

std::vector<RecordedTrace> load_shared_traces(World& world, const std::filesystem::path& oracle_folder,
                                              const std::string& split, std::int64_t most,
                                              const std::string& model_fingerprint,
                                              const std::string& tokenizer_fingerprint) {
  std::vector<RecordedTrace> traces;
  const auto find = [&] {
    std::vector<std::filesystem::path> files = oracle_files(oracle_folder, split);
    files.resize(std::min(files.size(), static_cast<std::size_t>(std::max<std::int64_t>(most, 0))));
    return files;
  };
  for (const auto& path : files_of_lead(world, find, "recorded traces")) {
    const OracleReader reader(path);
    require_same_source(reader, model_fingerprint, tokenizer_fingerprint);
    const OracleTrace& stored = reader.trace();
    RecordedTrace trace;
    trace.id = stored.trace_id;
    trace.file = path;
    trace.dtype = reader.provenance().dtype;
    trace.dimensions = reader.dimensions();
    trace.tokens = torch::tensor(stored.token_ids, torch::kInt32).to(torch::kInt64);
    trace.loss = torch::tensor(stored.loss);
    trace.entropy = torch::tensor(stored.entropy);
    trace.completion = torch::tensor(stored.completion, torch::kUInt8).to(torch::kBool);
    traces.push_back(std::move(trace));
  }
  if (traces.empty()) {
    throw Error(ErrorKind::kInput,
                concat("no recorded traces of the split '", split, "' in ", oracle_folder.string(),
                       ": run `foresight oracle` with this config first"));
  }
  return traces;
}

std::int64_t RecordedTrace::prompt_tokens() const {
  const torch::Tensor found = completion.nonzero();
  return found.size(0) == 0 ? length() : found[0].item<std::int64_t>();
}

TraceTokens stacked_tokens(const std::vector<const RecordedTrace*>& traces) {
  std::vector<torch::Tensor> rows;
  std::vector<std::int64_t> prompts;
  for (const RecordedTrace* trace : traces) {
    rows.push_back(trace->tokens);
    prompts.push_back(trace->prompt_tokens());
  }
  return {torch::stack(rows), prompts};
}

std::vector<std::vector<std::size_t>> equal_length_batches(const std::vector<RecordedTrace>& traces,
                                                           std::size_t most) {
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const bool joins = !batches.empty() && batches.back().size() < most &&
                       traces[batches.back().front()].length() == traces[i].length();
    if (!joins) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

std::string traces_fingerprint(const std::vector<RecordedTrace>& traces) {
  std::string facts;
  for (const RecordedTrace& trace : traces) {
    facts += concat(trace.id, " ", trace.dtype, " ", tensor_sha256(trace.tokens), " ",
                    tensor_sha256(trace.completion), "\n");
  }
  return sha256_hex(facts);
}

void require_losses_of(const std::vector<RecordedTrace>& traces, const std::string& dtype) {
  for (const RecordedTrace& trace : traces) {
    if (trace.dtype == dtype) continue;
    throw Error(
        ErrorKind::kConfig,
        concat("runtime.dtype: this run computes in ", dtype, ", but the losses in ", trace.file.string(),
               " were recorded in ", trace.dtype,
               ": set runtime.dtype (and runtime.cache_dtype) to the recorded type, or record them in ",
               dtype, ": choose another `output`, or remove the oracle folder"));
  }
}

}  // namespace foresight
