// Recall of planted facts, from log-probabilities, against values worked out by hand.
#include "tests/catch.h"
#include "trainer/evaluation/recall_scores.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

/// Two facts at each of two distances; at the second the full cache gains nothing.
Json by_hand() {
  const RecallScores near{.full = {-1.0, -2.0},
                          .never = {-9.0, -6.0},
                          .full_found = {true, false},
                          .policies = {{-3.0, -6.0}, {-9.0, -7.0}, {-1.0, -2.0}},
                          .found = {{true, false}, {false, false}, {true, true}}};
  const RecallScores far{.full = {-9.0, -6.0},
                         .never = {-9.0, -6.0},
                         .full_found = {false, false},
                         .policies = {{-9.0, -6.0}, {-9.0, -6.0}, {-9.0, -6.0}},
                         .found = {{false, false}, {false, false}, {false, false}}};
  return recall_json({near, far}, {"supervised", "random", "rkv"}, {.facts = 2, .evictions = {3, 39}}, 1);
}

TEST_CASE("recall: R is what the policy keeps of the full cache's gain, summed over facts", "[evaluation]") {
  const Json json = by_hand();
  CHECK(json["facts"] == 2);
  CHECK(json["evictions"] == Json({3, 39}));
  CHECK(json["full_found"] == Json({0.5, 0.0}));
  CHECK(json["full_gain"][0] == Json({8.0, 4.0}));
  const Json& supervised = json["policies"]["supervised"];
  CHECK(supervised["gain"][0] == Json({6.0, 0.0}));
  CHECK(supervised["recall"][0].get<double>() == Approx(6.0 / 12));
  // A draw of two facts is the first alone, both, or the second alone: 6 / 8, 6 / 12, 0 / 4.
  CHECK(supervised["low"][0].get<double>() == Approx(0.0));
  CHECK(supervised["high"][0].get<double>() == Approx(0.75));
  CHECK(supervised["found"][0].get<double>() == Approx(0.5));
  CHECK(json["policies"]["random"]["recall"][0].get<double>() == Approx(-1.0 / 12));
  CHECK(json["policies"]["rkv"]["recall"][0].get<double>() == Approx(1.0));
}

TEST_CASE("recall: nothing to measure is null, and a scorer is compared with the best rule", "[evaluation]") {
  const Json json = by_hand();
  for (const char* key : {"recall", "low", "high"}) CHECK(json["policies"]["supervised"][key][1].is_null());
  const Json& difference = json["policies"]["supervised"]["difference"];
  CHECK(difference[0]["baseline"] == "rkv");
  CHECK(difference[0]["recall"].get<double>() == Approx(-0.5));
  CHECK(difference[0]["high"].get<double>() == Approx(-0.25));
  CHECK(difference[0]["significant"] == true);
  CHECK(difference[1].is_null());
  CHECK_FALSE(json["policies"]["rkv"].contains("difference"));
}

}  // namespace
}  // namespace foresight
