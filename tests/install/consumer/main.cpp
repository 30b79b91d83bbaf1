// consumer CONFIG MODEL: reads a config and runs a model, through the installed package.
#include <torch/types.h>

#include <iostream>

#include "trainer/config/load.h"
#include "trainer/eviction/full_run.h"

int main(int /*count*/, char** values) {
  const foresight::Config config = foresight::load_config(values[1]);
  const auto model = foresight::Transformer::load(values[2], {});
  const foresight::FullPass pass = foresight::full_pass(model, torch::arange(12), 4);
  std::cout << config.eviction.budget << " " << pass.loss.size(0) << " "
            << torch::isfinite(pass.loss).all().item<bool>() << std::endl;
}
