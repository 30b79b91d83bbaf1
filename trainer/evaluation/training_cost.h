// What training cost, from the metrics that its stages left in the run's folder.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace foresight {

/// The block "training" of evaluation.json (docs/evaluation.md): mean seconds and bytes of an oracle trace,
/// median seconds of a supervised and of a GRPO step. A stage that left no rows in `output` has no keys; the
/// object is empty if none did. Rows that cannot be read are skipped, because no result depends on them.
nlohmann::ordered_json training_cost(const std::filesystem::path& output);

}  // namespace foresight
