#include "trainer/evaluation/recall_scores.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "trainer/base/paired_bootstrap.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

std::vector<double> minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < a.size(); ++i) difference.push_back(a[i] - b.at(i));
  return difference;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double share(const std::vector<bool>& found) {
  const auto count = static_cast<double>(std::count(found.begin(), found.end(), true));
  return count / static_cast<double>(std::max<std::size_t>(1, found.size()));
}

/// One distance, ready to be compared.
struct Distance {
  const RecallScores* scores;
  std::vector<double> full_gain;
  std::optional<std::size_t> best_rule;  ///< number of the policy

  bool measurable() const { return sum(full_gain) > 0; }
  std::vector<double> gain(std::size_t policy) const {
    return minus(scores->policies.at(policy), scores->never);
  }
};

Distance prepared(const RecallScores& scores, const std::vector<std::string>& policies) {
  Distance distance{&scores, minus(scores.full, scores.never), std::nullopt};
  for (std::size_t p = 0; p < policies.size(); ++p) {
    if (!is_rule(policies[p])) continue;
    if (!distance.best_rule || sum(distance.gain(p)) > sum(distance.gain(*distance.best_rule)))
      distance.best_rule = p;
  }
  return distance;
}

Json policy_json(const std::vector<Distance>& distances, std::size_t p, std::uint64_t seed) {
  Json json = {{"recall", Json::array()},
               {"low", Json::array()},
               {"high", Json::array()},
               {"found", Json::array()},
               {"gain", Json::array()}};
  for (const Distance& distance : distances) {
    json["gain"].push_back(distance.gain(p));
    json["found"].push_back(share(distance.scores->found.at(p)));
    if (!distance.measurable()) {
      for (const char* key : {"recall", "low", "high"}) json[key].push_back(nullptr);
      continue;
    }
    const Interval recall = ratio_bootstrap(distance.gain(p), distance.full_gain, seed);
    json["recall"].push_back(recall.value);
    json["low"].push_back(recall.low);
    json["high"].push_back(recall.high);
  }
  return json;
}

/// R minus the best rule's, by distance; null where there is no rule or nothing to measure.
Json differences(const std::vector<Distance>& distances, const std::vector<std::string>& policies,
                 std::size_t p, std::uint64_t seed) {
  Json list = Json::array();
  for (const Distance& distance : distances) {
    if (!distance.best_rule || !distance.measurable()) {
      list.push_back(nullptr);
      continue;
    }
    const Interval interval = ratio_bootstrap(minus(distance.gain(p), distance.gain(*distance.best_rule)),
                                              distance.full_gain, seed);
    list.push_back({{"baseline", policies[*distance.best_rule]},
                    {"recall", interval.value},
                    {"low", interval.low},
                    {"high", interval.high},
                    {"significant", interval.significant()}});
  }
  return list;
}

}  // namespace

nlohmann::ordered_json recall_json(const std::vector<RecallScores>& scores,
                                   const std::vector<std::string>& policies, const RecallOptions& options,
                                   std::uint64_t seed) {
  Json json = {{"facts", options.facts},
               {"evictions", options.evictions},
               {"full_found", Json::array()},
               {"full_gain", Json::array()},
               {"policies", Json::object()}};
  std::vector<Distance> distances;
  for (const RecallScores& one : scores) {
    distances.push_back(prepared(one, policies));
    json["full_found"].push_back(share(one.full_found));
    json["full_gain"].push_back(distances.back().full_gain);
  }
  for (std::size_t p = 0; p < policies.size(); ++p) {
    Json& own = json["policies"][policies[p]] = policy_json(distances, p, seed);
    if (!is_rule(policies[p])) own["difference"] = differences(distances, policies, p, seed);
  }
  return json;
}

}  // namespace foresight
