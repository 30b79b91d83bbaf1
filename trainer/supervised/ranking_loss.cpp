#include "trainer/supervised/ranking_loss.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/highest.h"

namespace foresight {
namespace {

/// Sums over some entries of a row.
struct EntrySums {
  double count = 0, score = 0, oracle = 0, product = 0;  // product: oracle * score

  void add(const EntrySums& other) {
    count += other.count;
    score += other.score;
    oracle += other.oracle;
    product += other.product;
  }
};

/// Sums by oracle rank: add an entry at a rank, ask for all ranks below one.
class FenwickTree {
 public:
  explicit FenwickTree(std::int64_t size) : nodes_(size + 1) {}

  void clear() { std::fill(nodes_.begin(), nodes_.end(), EntrySums{}); }

  void add(std::int64_t rank, const EntrySums& entry) {
    for (auto node = static_cast<std::size_t>(rank + 1); node < nodes_.size(); node += node & (~node + 1))
      nodes_[node].add(entry);
  }

  EntrySums below(std::int64_t rank) const {
    EntrySums sums;
    for (auto node = static_cast<std::size_t>(rank); node > 0; node &= node - 1) sums.add(nodes_[node]);
    return sums;
  }

 private:
  std::vector<EntrySums> nodes_;
};

/// One row's loss and gradient; the buffers are reused from row to row by one thread.
class RowSweep {
 public:
  RowSweep(std::int64_t entries, double margin, PairWeight weight)
      : entries_(entries),
        margin_(margin),
        weight_(weight),
        order_(entries),
        rank_(entries),
        score_(entries),
        oracle_(entries),
        tree_(entries) {}

  /// `gradient` [N] receives d loss / d score. Returns the loss, and whether there is a strict pair.
  template <class Scalar>
  std::pair<double, bool> run(const Scalar* scores, const Scalar* oracle, double* gradient) {
    const double pairs = rank_by(oracle);
    std::fill_n(gradient, entries_, 0.0);
    if (pairs == 0.0) return {0.0, false};
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](auto a, auto b) { return scores[a] < scores[b]; });
    for (std::int64_t place = 0; place < entries_; ++place) {
      score_[place] = static_cast<double>(scores[order_[place]]);
      oracle_[place] = static_cast<double>(oracle[order_[place]]);
    }
    const double total = sweep_down(gradient);
    sweep_up(gradient);
    const double scale = 1.0 / pairs;
    for (std::int64_t i = 0; i < entries_; ++i) gradient[i] *= scale;
    return {total * scale, true};
  }

 private:
  /// rank_[i] = number of distinct oracle scores below that of i. Returns the weight of all strict pairs.
  template <class Scalar>
  double rank_by(const Scalar* oracle) {
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](auto a, auto b) { return oracle[a] < oracle[b]; });
    std::int64_t rank = 0;
    double pairs = 0;
    EntrySums below, before;  // of lower ranks; of earlier places
    for (std::int64_t place = 0; place < entries_; ++place) {
      if (place > 0 && oracle[order_[place]] > oracle[order_[place - 1]]) {
        ++rank;
        below = before;
      }
      rank_[order_[place]] = rank;
      const auto own = static_cast<double>(oracle[order_[place]]);
      pairs += weight_above(below, own);
      before.add({.count = 1, .oracle = own});
    }
    return pairs;
  }

  /// Sum of the weights of the pairs of an entry of oracle score `own` with those below it.
  double weight_above(const EntrySums& below, double own) const {
    return weight_ == PairWeight::kUniform ? below.count : own * below.count - below.oracle;
  }

  EntrySums entry(std::int64_t place) const {
    return {1, score_[place], oracle_[place], oracle_[place] * score_[place]};
  }

  bool inside(double first_score, double second_score) const { return first_score - second_score < margin_; }

  /// Each entry i as the first of its pairs, from the highest score down: the partners within the margin
  /// (score_j > score_i - margin) only grow. Returns the sum of the hinges.
  double sweep_down(double* gradient) {
    tree_.clear();
    double total = 0.0;
    std::int64_t next = entries_ - 1;
    for (std::int64_t place = entries_ - 1; place >= 0; --place) {
      for (; next >= 0 && inside(score_[place], score_[next]); --next)
        tree_.add(rank_[order_[next]], entry(next));
      const EntrySums below = tree_.below(rank_[order_[place]]);
      const double own = oracle_[place], weight = weight_above(below, own);
      const double weighted_scores =
          weight_ == PairWeight::kUniform ? below.score : own * below.score - below.product;
      total += weight * (margin_ - score_[place]) + weighted_scores;
      gradient[order_[place]] -= weight;
    }
    return total;
  }

  /// Each entry j as the second of its pairs, from the lowest score up. Ranks are mirrored, so that "below"
  /// asks for the entries that the oracle puts above j.
  void sweep_up(double* gradient) {
    tree_.clear();
    std::int64_t next = 0;
    for (std::int64_t place = 0; place < entries_; ++place) {
      for (; next < entries_ && inside(score_[next], score_[place]); ++next)
        tree_.add(mirrored(next), entry(next));
      const EntrySums above = tree_.below(mirrored(place));
      gradient[order_[place]] +=
          weight_ == PairWeight::kUniform ? above.count : above.oracle - above.count * oracle_[place];
    }
  }

  std::int64_t mirrored(std::int64_t place) const { return entries_ - 1 - rank_[order_[place]]; }

  std::int64_t entries_;
  double margin_;
  PairWeight weight_;
  std::vector<std::int64_t> order_, rank_;
  std::vector<double> score_, oracle_;  // by place
  FenwickTree tree_;
};

/// Loss, gradient and pair flag of every row. All on the CPU and contiguous.
template <class Scalar>
void sweep_rows(const torch::Tensor& scores, const torch::Tensor& oracle, double margin, PairWeight weight,
                torch::Tensor& losses, torch::Tensor& gradient, torch::Tensor& has_pair) {
  const std::int64_t entries = scores.size(1);
  const Scalar* score_data = scores.const_data_ptr<Scalar>();
  const Scalar* oracle_data = oracle.const_data_ptr<Scalar>();
  Scalar* loss_data = losses.mutable_data_ptr<Scalar>();
  Scalar* gradient_data = gradient.mutable_data_ptr<Scalar>();
  bool* pair_data = has_pair.mutable_data_ptr<bool>();
  at::parallel_for(0, scores.size(0), /*grain_size=*/1, [&](std::int64_t begin, std::int64_t end) {
    RowSweep sweep(entries, margin, weight);
    std::vector<double> row_gradient(entries);
    for (std::int64_t row = begin; row < end; ++row) {
      const auto [loss, found] =
          sweep.run(score_data + row * entries, oracle_data + row * entries, row_gradient.data());
      loss_data[row] = static_cast<Scalar>(loss);
      pair_data[row] = found;
      std::transform(row_gradient.begin(), row_gradient.end(), gradient_data + row * entries,
                     [](double value) { return static_cast<Scalar>(value); });
    }
  });
}

void check_matrix_pair(const torch::Tensor& scores, const torch::Tensor& oracle, const char* where) {
  if (scores.dim() == 2 && scores.sizes() == oracle.sizes()) return;
  throw Error(ErrorKind::kInternal, concat(where, ": scores and oracle must both be [rows, N], got ",
                                           scores.sizes(), " and ", oracle.sizes()));
}

void check_loss_input(const torch::Tensor& scores, const torch::Tensor& oracle, double margin) {
  check_matrix_pair(scores, oracle, "ranking loss");
  const auto dtype = scores.scalar_type();
  if ((dtype != torch::kFloat32 && dtype != torch::kFloat64) || oracle.scalar_type() != dtype) {
    throw Error(ErrorKind::kInternal,
                concat("ranking loss: scores and oracle must both be float32 or both float64, got ", dtype,
                       " and ", oracle.scalar_type()));
  }
  if (!std::isfinite(margin) || margin < 0.0) {
    throw Error(ErrorKind::kInternal,
                concat("ranking loss: margin must be finite and at least 0, got ", margin));
  }
  for (const auto& [name, tensor] : {std::pair{"scores", scores}, std::pair{"oracle", oracle}}) {
    if (!torch::isfinite(tensor.detach()).all().item<bool>()) {
      throw Error(ErrorKind::kNumeric, concat("ranking loss: ", name,
                                              " contain NaN or Inf, expected finite values; lower "
                                              "the learning rate or check the recorded features"));
    }
  }
}

}  // namespace

RankingRows pairwise_ranking_rows(const torch::Tensor& scores, const torch::Tensor& oracle, double margin,
                                  PairWeight weight) {
  check_loss_input(scores, oracle, margin);
  const auto local_scores = scores.detach().to(torch::kCPU).contiguous();
  const auto local_oracle = oracle.detach().to(torch::kCPU).contiguous();
  auto losses = torch::empty({scores.size(0)}, local_scores.options());
  auto gradient = torch::empty_like(local_scores);
  auto has_pair = torch::empty({scores.size(0)}, torch::kBool);
  if (scores.scalar_type() == torch::kFloat64) {
    sweep_rows<double>(local_scores, local_oracle, margin, weight, losses, gradient, has_pair);
  } else {
    sweep_rows<float>(local_scores, local_oracle, margin, weight, losses, gradient, has_pair);
  }
  const torch::Device device = scores.device();
  return {.losses = losses.to(device), .has_pair = has_pair.to(device), .gradient = gradient.to(device)};
}

torch::Tensor top_overlap(const torch::Tensor& scores, const torch::Tensor& oracle, std::int64_t top_count) {
  check_matrix_pair(scores, oracle, "top overlap");
  if (top_count < 1 || top_count > scores.size(1)) {
    throw Error(ErrorKind::kInternal,
                concat("top overlap: count ", top_count, " is not within 1 .. ", scores.size(1)));
  }
  const auto member = [top_count](const torch::Tensor& values) {
    return torch::zeros(values.sizes(), values.options().dtype(torch::kBool).requires_grad(false))
        .scatter_(1, kernels::highest(values, top_count), true);  // [rows, N]
  };
  return (member(scores) & member(oracle)).sum(1).to(torch::kFloat32) / static_cast<double>(top_count);
}

}  // namespace foresight
