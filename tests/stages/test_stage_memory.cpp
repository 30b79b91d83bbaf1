// The estimate of a model's weights beside the bytes of its file.
#include <torch/types.h>

#include "data/safetensors.h"
#include "tests/reference/paths.h"
#include "trainer/app/stage_memory.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("stage memory: weights are counted with all experts of a mixture", "[stages]") {
  for (const char* name : {"llama_linear", "qwen3_moe_stacked"}) {
    CAPTURE(name);
    const auto folder = reference_folder() / "families" / name;
    const ModelShape shape = read_model_shape(folder);
    const SafetensorsFile file(folder / "model.safetensors");
    double bytes = 0;
    for (const auto& [tensor, view] : file.tensors()) {
      const bool small = tensor.find("norm") != std::string::npos || tensor.find("bias") != std::string::npos;
      if (!small) bytes += static_cast<double>(view.bytes.size());
    }
    const Config config;
    const ModelOptions options;  // float32, as the file, so that the tied head is no second copy
    const auto items = model_memory({&config, &shape, options, 0, 0, 1});
    REQUIRE(items.back().what == "weights");
    CHECK(items.back().bytes == bytes);
  }
}
