#include "golden_eviction/plan_file.h"

#include <system_error>

#include "golden_eviction/future_attention.h"
#include "golden_eviction/golden_plan.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

void plan_file(const std::filesystem::path& attention_file, const CacheSize& size, PlanPrecision precision,
               const std::filesystem::path& output_file) {
  if (size.window < 1 || size.budget < size.window || size.budget % size.window != 0) {
    throw Error(ErrorKind::kConfig,
                concat("--budget ", size.budget, " must be a positive multiple of --window ", size.window));
  }
  std::error_code absent;
  if (std::filesystem::equivalent(attention_file, output_file, absent)) {
    throw Error(ErrorKind::kConfig, concat("--out ", output_file.string(),
                                           " is the file that --attention reads; name another one"));
  }
  const SafetensorsFile file(attention_file);
  const torch::Tensor query = view_tensor(file.at("query")), key = view_tensor(file.at("key"));
  if (!query.is_floating_point() || !key.is_floating_point()) {
    throw Error(ErrorKind::kInput, attention_file.string() + ": query and key must be floating point");
  }
  torch::Tensor attention;
  try {
    attention = future_attention(query, key, size.window);
  } catch (const Error& error) {
    throw Error(error.kind(), attention_file.string() + ": " + error.what());
  }
  if (!torch::isfinite(attention).all().item<bool>()) {
    throw Error(ErrorKind::kNumeric, attention_file.string() + ": query or key hold NaN or Inf");
  }
  if (precision == PlanPrecision::kStored) attention = attention.to(torch::kFloat16).to(torch::kFloat32);
  const GoldenPlan plan = golden_plan(attention, size);
  write_safetensors(
      output_file,
      {tensor_to_write("future_attention", attention), tensor_to_write("evicted", plan.evicted),
       tensor_to_write("candidates", plan.candidates), tensor_to_write("contribution", plan.contribution)},
      {{"format", "foresight.plan.1"},
       {"budget", std::to_string(size.budget)},
       {"window", std::to_string(size.window)}});
}

}  // namespace foresight
