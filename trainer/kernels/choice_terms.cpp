#include "trainer/kernels/choice_terms.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/kernels/launch.h"

namespace foresight::kernels {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// A sum of exponentials, factor e^shift with a factor from 1 on, so that none overflows.
struct Sum {
  double factor = 0.0, shift = kNothing;

  void add(double logarithm) {
    if (logarithm > shift) {
      factor = factor * std::exp(shift - logarithm) + 1.0;
      shift = logarithm;
    } else {
      factor += logarithm == shift ? 1.0 : std::exp(logarithm - shift);
    }
  }
};

/// The choices of one head after the other.
class Choice {
 public:
  explicit Choice(const ChoiceWork& work)
      : work_(work),
        drawn_(static_cast<std::size_t>(work.candidates)),
        left_(static_cast<std::size_t>(work.window)) {}

  void run(std::int64_t head) {
    const float* const logits = work_.logits + head * work_.candidates;
    const std::int64_t* const draws = work_.draws + head * work_.window;
    std::fill(drawn_.begin(), drawn_.end(), std::uint8_t{0});
    for (std::int64_t i = 0; i < work_.window; ++i) drawn_[static_cast<std::size_t>(draws[i])] = 1;
    work_.likelihood_of_reference[head] = find_left(work_.reference + head * work_.candidates, draws);
    work_.likelihood[head] = find_left(logits, draws);
    // Of the candidate that the j-th draw took: 1 - sum over i <= j of e^logit / left_i; of the others minus
    // the whole sum; each over W. What is left only shrinks, so that the sum keeps the newest one's scale.
    const double share = 1.0 / static_cast<double>(work_.window);
    float* const derivatives = work_.derivatives + head * work_.candidates;
    double gathered = 0.0, shift = left_.front().shift;  // of the sum, gathered e^-shift
    for (std::int64_t i = 0; i < work_.window; ++i) {
      const Sum& left = left_[static_cast<std::size_t>(i)];
      if (left.shift != shift) gathered *= std::exp(left.shift - shift);
      shift = left.shift;
      gathered += 1.0 / left.factor;
      const double weight = std::exp(static_cast<double>(logits[draws[i]]) - shift);
      derivatives[draws[i]] = static_cast<float>(share * (1.0 - weight * gathered));
    }
    for (std::int64_t i = 0; i < work_.candidates; ++i) {
      if (drawn_[static_cast<std::size_t>(i)] != 0) continue;
      const double weight = std::exp(static_cast<double>(logits[i]) - shift);
      derivatives[i] = static_cast<float>(-share * weight * gathered);
    }
  }

 private:
  /// The mean log-likelihood of the draws by `from` [M]. Leaves what is left before each of them in left_.
  float find_left(const float* from, const std::int64_t* draws) {
    constexpr double kLarge = 1e200;
    Sum left;
    for (std::int64_t i = 0; i < work_.candidates; ++i) {
      if (drawn_[static_cast<std::size_t>(i)] == 0) left.add(static_cast<double>(from[i]));
    }
    // From the last draw to the first, what it took comes back. Logarithms are taken of many factors at once.
    double total = 0.0, product = 1.0;
    for (std::int64_t i = work_.window - 1; i >= 0; --i) {
      const auto drawn = static_cast<double>(from[draws[i]]);
      left.add(drawn);
      left_[static_cast<std::size_t>(i)] = left;
      total += drawn - left.shift;
      product *= left.factor;
      if (product > kLarge) {
        total -= std::log(product);
        product = 1.0;
      }
    }
    return static_cast<float>((total - std::log(product)) / static_cast<double>(work_.window));
  }

  const ChoiceWork& work_;
  std::vector<std::uint8_t> drawn_;
  std::vector<Sum> left_;
};

}  // namespace

bool suits_choice_terms(const torch::Device& device, std::int64_t candidates) {
  return has_gpu_kernels(device) ? candidates <= kMostCandidates : device.is_cpu();
}

void find_terms(const ChoiceWork& work, const torch::Device& device) {
  if (has_gpu_kernels(device)) return launch(work, device);
  at::parallel_for(0, work.heads, 1, [&](std::int64_t first, std::int64_t last) {
    Choice choice(work);
    for (std::int64_t head = first; head < last; ++head) choice.run(head);
  });
}

}  // namespace foresight::kernels
