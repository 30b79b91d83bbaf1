// Gradients of units of work that were assigned to ranks, summed so that the number of ranks changes nothing.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"

namespace foresight {

enum class SumOrder {
  kFixed,  ///< unit by unit: the same bytes on any number of ranks; every unit's gradient travels
  kAny     ///< each rank's sum first: one gradient travels, rounding depends on the dealing
};

/// As runtime.deterministic asks for.
SumOrder sum_order(const Config& config);

/// `parameters`: those of a scorer, four a layer. Throws Error(kNumeric), whose message begins with `where`
/// ("grpo: step 7, trace train-000003") and names the layer, unless all their gradients are finite. They are
/// asked all at once: on a GPU each question waits for it.
void require_finite_gradients(const std::vector<torch::Tensor>& parameters, const std::string& where);

/// Collects the gradients that backward passes leave in `parameters` (all float32 on one device), a unit at a
/// time, and puts their sum over all ranks there.
class UnitGradients {
 public:
  /// `rank_of`: the rank of each unit, the same on all ranks.
  UnitGradients(World& world, std::vector<torch::Tensor> parameters, std::vector<int> rank_of,
                SumOrder order);

  /// Moves the gradients of this rank's next unit out of the parameters, leaving none. Units come in
  /// ascending order. Throws Error(kNumeric) as require_finite_gradients() does; `where` names step and unit.
  void add_unit(const std::string& where);
  /// Sets the gradients of the parameters to the sum over all units. A collective. Throws Error(kInternal)
  /// when a unit of this rank was not added, else like World.
  void set_summed_gradients();

 private:
  /// The gradients of all units [P] each, by unit: through MPI, or GPU to GPU.
  std::vector<torch::Tensor> share_on_hosts() const;
  std::vector<torch::Tensor> share_on_devices(DeviceGroup& devices) const;

  World* world_;
  std::vector<torch::Tensor> parameters_;
  std::vector<int> rank_of_;
  SumOrder order_;
  std::size_t added_ = 0;
  torch::Tensor sum_;               // [P] of own units, where their order is the whole order or any will do
  std::vector<torch::Tensor> own_;  // [P] each, else
};

}  // namespace foresight
