// A scorer's layer for one instruction set (attention_panels.h says how): inputs of entries, scores,
// gradients. A register holds hidden units of one entry.
#pragma once

#include "trainer/kernels/scorer_functions.h"
#include "trainer/kernels/vectors.h"

namespace foresight::kernels {
namespace {

/// Registers of an entry's hidden units, and entries that go through the first map together.
constexpr std::int64_t kHiddenRegisters = kHiddenUnits / kLanes,
                       kScoredTogether = kLanes == 16 ? 8 : kLanes / 2;
/// Inputs whose gradients are summed together.
constexpr std::int64_t kInputsTogether = kLanes == 16 ? 12 : kLanes == 8 ? 3 : 1;
static_assert(kHiddenUnits % kLanes == 0 && kTileEntries % kScoredTogether == 0);

using Hidden = Lanes[kHiddenRegisters];

FORESIGHT_INLINE Lanes absolute(const Lanes& x) {
  constexpr std::int32_t kAllButSign = 0x7fffffff;
  return reinterpret_cast<Lanes>(reinterpret_cast<IntegerLanes>(x) & kAllButSign);
}

/// log(1 + x) for x >= 0, to 2e-7 of itself. y = 1 + x is rounded, which the factor x / (y - 1) makes good;
/// log y is k log 2 and a polynomial (a fit at Chebyshev's nodes) of what is left of y between sqrt(1/2) and
/// sqrt(2).
FORESIGHT_INLINE Lanes log_of_one_more(const Lanes& x) {
  constexpr std::int32_t kMantissaBits = 23, kRootOfHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  constexpr float kLogOfTwo = 0.69314718F;
  const Lanes one = Lanes{} + 1.0F, more = one + x;
  const IntegerLanes bits = reinterpret_cast<IntegerLanes>(more);
  const IntegerLanes power = (bits - kRootOfHalf) >> kMantissaBits;
  const Lanes rest = reinterpret_cast<Lanes>(bits - (power << kMantissaBits)) - 1.0F;
  Lanes series = rest * 7.149753571e-02F - 1.157120080e-01F;
  series = series * rest + 1.166151123e-01F;
  series = series * rest - 1.241105068e-01F;
  series = series * rest + 1.424993651e-01F;
  series = series * rest - 1.666848024e-01F;
  series = series * rest + 2.000070748e-01F;
  series = series * rest - 2.499998905e-01F;
  series = series * rest + 3.333333119e-01F;
  const Lanes square = rest * rest;
  const Lanes logarithm =
      (square * rest * series - square * 0.5F) + rest + __builtin_convertvector(power, Lanes) * kLogOfTwo;
  const IntegerLanes tiny = more == one;
  return tiny ? x : logarithm * (x / (tiny ? one : more - one));
}

/// erf(x) to 2e-7: x times a polynomial of x^2 below 1; above, 1 - e^-q with a polynomial q of |x| (fits at
/// Chebyshev's nodes). From 4 on it is 1.
FORESIGHT_INLINE Lanes error_function(const Lanes& x) {
  constexpr float kEnd = 4.0F;
  const Lanes size = absolute(x), bounded = size < kEnd ? size : (size == size ? Lanes{} + kEnd : size);
  const Lanes square = bounded * bounded;
  Lanes near = square * 7.882497108e-05F - 8.018854992e-04F;
  near = near * square + 5.189311943e-03F;
  near = near * square - 2.685432880e-02F;
  near = near * square + 1.128359746e-01F;
  near = near * square - 3.761262690e-01F;
  near = near * square + 1.128379166e+00F;
  Lanes far = bounded * -1.286878178e-06F + 4.035028109e-05F;
  far = far * bounded - 5.572437083e-04F;
  far = far * bounded + 4.607255768e-03F;
  far = far * bounded - 2.606458904e-02F;
  far = far * bounded + 1.095603970e-01F;
  far = far * bounded + 6.322871385e-01F;
  far = far * bounded + 1.130005493e+00F;
  far = far * bounded - 2.720059206e-04F;
  const Lanes result = bounded < 1.0F ? near * bounded : 1.0F - exponential(-far);
  return x < 0.0F ? -result : result;
}

/// gelu(x) = x Phi(x), and Phi(x) itself, the normal distribution's function.
struct Gelu {
  Lanes value, below;
};
FORESIGHT_INLINE Gelu gelu(const Lanes& x) {
  constexpr float kHalf = 0.5F, kRootOfHalf = 0.70710678F;
  const Lanes below = error_function(x * kRootOfHalf) * kHalf + kHalf;
  return {x * below, below};
}
/// gelu'(x) = Phi(x) + x phi(x), phi the density.
FORESIGHT_INLINE Lanes gelu_slope(const Lanes& x, const Lanes& below) {
  constexpr float kHalf = 0.5F, kPeak = 0.39894228F;
  return below + x * kPeak * exponential(x * x * -kHalf);
}

FORESIGHT_INLINE float sum_of_lanes(const Lanes& values) {
  float parts[kLanes];
  store(parts, values);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t i = 0; i < half; ++i) parts[i] += parts[i + half];
  }
  return parts[0];
}

/// Number `kind` of a query head's eight statistics of the entries of a KV head: [capacity].
FORESIGHT_INLINE const float* statistic_row(const FeatureWork& of, std::int64_t head, std::int64_t kind,
                                            std::int64_t query_head) {
  const std::int64_t own = head * of.group + query_head;
  if (kind < kStatistics) {
    const std::int64_t which = kind > kSum && !of.normalised ? static_cast<std::int64_t>(kSum) : kind;
    return of.statistics + (own * kStatistics + which) * of.capacity;
  }
  return (kind == kStatistics ? of.cumulative : of.decayed) + own * of.capacity;
}

/// The statistics of all entries of a KV head, as a scorer sees them.
FORESIGHT_INLINE void read_statistics(const FeatureWork& of, const ScorerRoom& room, std::int64_t head) {
  constexpr std::int64_t kKinds = kStatistics + 2;
  constexpr float kCoarse = 100.0F;
  const std::int64_t* const chosen = of.chosen == nullptr ? nullptr : of.chosen + head * of.entries;
  for (std::int64_t number = 0; number < kKinds * of.group; ++number) {
    const float* const from = statistic_row(of, head, number / of.group, number % of.group);
    float* const to = room.statistics + number * room.stride;
    for (std::int64_t entry = 0; entry < of.entries; ++entry)
      to[entry] = from[chosen == nullptr ? entry : chosen[entry]];
    for (std::int64_t entry = of.entries; entry < room.stride; ++entry) to[entry] = 0.0F;
    if (!of.normalised) continue;
    for (std::int64_t entry = 0; entry < room.stride; entry += kLanes)
      store(to + entry, log_of_one_more(load(to + entry) * kCoarse));
  }
}

template <typename Element>
FORESIGHT_INLINE void widen(const Element* from, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = widened(from[i]);
}

/// Keys and values of `count` entries from `first` on, side by side; an entry's lie `stride` from the last
/// one's.
template <typename Element>
FORESIGHT_INLINE void widen_vectors(const FeatureWork& of, std::int64_t head, std::int64_t first,
                                    std::int64_t count, std::int64_t stride, float* to) {
  for (std::int64_t place = first; place < first + count; ++place) {
    const std::int64_t entry = of.chosen == nullptr ? place : of.chosen[head * of.entries + place];
    const std::int64_t vector = (head * of.capacity + entry) * of.width;
    float* const row = to + (place - first) * stride;
    widen(static_cast<const Element*>(of.keys) + vector, of.width, row);
    widen(static_cast<const Element*>(of.values) + vector, of.width, row + of.width);
  }
}

FORESIGHT_INLINE void fill_vectors(const FeatureWork& of, std::int64_t head, std::int64_t first,
                                   std::int64_t count, std::int64_t stride, float* to) {
  if (of.bfloat16) return widen_vectors<Half>(of, head, first, count, stride, to);
  widen_vectors<float>(of, head, first, count, stride, to);
}

FORESIGHT_INLINE void gather_heads(const GatherWork& work, const ScorerRoom& room, std::int64_t first,
                                   std::int64_t last) {
  const FeatureWork& of = work.of;
  const std::int64_t vectors = 2 * of.width;
  for (std::int64_t head = first; head < last; ++head) {
    float* const rows = work.features + head * of.entries * of.inputs;
    read_statistics(of, room, head);
    fill_vectors(of, head, 0, of.entries, of.inputs, rows);
    for (std::int64_t place = 0; place < of.entries; ++place) {
      for (std::int64_t i = vectors; i < of.inputs; ++i)
        rows[place * of.inputs + i] = room.statistics[(i - vectors) * room.stride + place];
    }
  }
}

/// The first map with the features' normalisation in it, to `weights` [F, kHiddenUnits] and `bias`.
FORESIGHT_INLINE void fold(const LayerWeights& of, std::int64_t inputs, std::int64_t kv_head, float* weights,
                           Hidden& bias) {
  for (std::int64_t r = 0; r < kHiddenRegisters; ++r)
    bias[r] = load(of.bias1 + kv_head * kHiddenUnits + r * kLanes);
  for (std::int64_t i = 0; i < inputs; ++i) {
    const std::int64_t at = kv_head * inputs + i;
    for (std::int64_t r = 0; r < kHiddenRegisters; ++r) {
      const Lanes folded = load(of.weight1 + at * kHiddenUnits + r * kLanes) / of.deviation[at];
      store(weights + i * kHiddenUnits + r * kLanes, folded);
      bias[r] -= folded * of.mean[at];
    }
  }
}

/// kEntries times the hidden units, so far the biases.
template <std::int64_t kEntries>
FORESIGHT_INLINE void begin_hidden(const Hidden& bias, Hidden (&hidden)[kEntries]) {
  for (std::int64_t entry = 0; entry < kEntries; ++entry) {
    for (std::int64_t r = 0; r < kHiddenRegisters; ++r) hidden[entry][r] = bias[r];
  }
}

/// Takes `count` inputs of kEntries entries through the first map: those of an entry lie input_step apart,
/// entries entry_step.
template <std::int64_t kEntries>
FORESIGHT_INLINE void map_first(const float* inputs, std::int64_t count, std::int64_t entry_step,
                                std::int64_t input_step, const float* weights, Hidden (&hidden)[kEntries]) {
  for (std::int64_t i = 0; i < count; ++i) {
    Hidden row;
    for (std::int64_t r = 0; r < kHiddenRegisters; ++r)
      row[r] = load(weights + i * kHiddenUnits + r * kLanes);
#pragma GCC unroll 16
    for (std::int64_t entry = 0; entry < kEntries; ++entry) {
      for (std::int64_t r = 0; r < kHiddenRegisters; ++r)
        hidden[entry][r] += inputs[entry * entry_step + i * input_step] * row[r];
    }
  }
}

/// Calls work(first, entries) for all of `count` entries, kScoredTogether or one at a time.
template <typename Work>
FORESIGHT_INLINE void for_entries(std::int64_t count, const Work& work) {
  std::int64_t first = 0;
  for (; first + kScoredTogether <= count; first += kScoredTogether)
    work.template operator()<kScoredTogether>(first);
  for (; first < count; ++first) work.template operator()<1>(first);
}

FORESIGHT_INLINE void score_heads(const ScoreWork& work, const ScorerRoom& room, std::int64_t first,
                                  std::int64_t last) {
  const FeatureWork& of = work.of;
  for (std::int64_t head = first; head < last; ++head) {
    const std::int64_t kv_head = head % of.kv_heads;
    Hidden bias;
    fold(work, of.inputs, kv_head, room.weights, bias);
    if (work.features == nullptr) read_statistics(of, room, head);
    for_entries(of.entries, [&]<std::int64_t kEntries>(std::int64_t place) {
      Hidden hidden[kEntries];
      begin_hidden<kEntries>(bias, hidden);
      if (work.features != nullptr) {
        map_first<kEntries>(work.features + (head * of.entries + place) * of.inputs, of.inputs, of.inputs, 1,
                            room.weights, hidden);
      } else {
        const std::int64_t vectors = 2 * of.width;
        fill_vectors(of, head, place, kEntries, vectors, room.tile);
        map_first<kEntries>(room.tile, vectors, vectors, 1, room.weights, hidden);
        map_first<kEntries>(room.statistics + place, of.inputs - vectors, 1, room.stride,
                            room.weights + vectors * kHiddenUnits, hidden);
      }
      for (std::int64_t entry = 0; entry < kEntries; ++entry) {
        Lanes products = {};
        for (std::int64_t r = 0; r < kHiddenRegisters; ++r)
          products += gelu(hidden[entry][r]).value * load(work.weight2 + kv_head * kHiddenUnits + r * kLanes);
        work.scores[head * of.entries + place + entry] = sum_of_lanes(products) + work.bias2[kv_head];
      }
    });
  }
}

/// Sums over the entries of a head for one kind of deltas.
struct GradientSums {
  Hidden bias1 = {}, weight2 = {};
  float bias2 = 0.0F;
};

/// Where the gradients of one KV head lie among those of a row.
struct GradientPlaces {
  float *weight1, *bias1, *weight2, *bias2;

  FORESIGHT_INLINE GradientPlaces(float* row, const GradientWork& work, std::int64_t kv_head)
      : weight1(row + kv_head * work.inputs * kHiddenUnits),
        bias1(row + (work.kv_heads * work.inputs + kv_head) * kHiddenUnits),
        weight2(bias1 + work.kv_heads * kHiddenUnits),
        bias2(row + work.kv_heads * (work.inputs + 2) * kHiddenUnits + kv_head) {}
};

/// What reaches the first map of every entry, to room.behind, and its sums.
template <int kKinds>
FORESIGHT_INLINE void go_back(const GradientWork& work, const ScorerRoom& room, std::int64_t head,
                              GradientSums (&sums)[kKinds]) {
  const std::int64_t kv_head = head % work.kv_heads;
  Hidden bias;
  fold(work, work.inputs, kv_head, room.weights, bias);
  for_entries(work.entries, [&]<std::int64_t kEntries>(std::int64_t place) {
    Hidden hidden[kEntries];
    begin_hidden<kEntries>(bias, hidden);
    map_first<kEntries>(work.features + (head * work.entries + place) * work.inputs, work.inputs, work.inputs,
                        1, room.weights, hidden);
    for (std::int64_t entry = 0; entry < kEntries; ++entry) {
      const std::int64_t at = head * work.entries + place + entry;
      for (std::int64_t r = 0; r < kHiddenRegisters; ++r) {
        const Lanes second = load(work.weight2 + kv_head * kHiddenUnits + r * kLanes);
        const Gelu found = gelu(hidden[entry][r]);
        const Lanes slope = gelu_slope(hidden[entry][r], found.below) * second;
        for (int kind = 0; kind < kKinds; ++kind) {
          const float delta = work.deltas[kind][at];
          const Lanes behind = slope * delta;
          store(room.behind + ((place + entry) * kKinds + kind) * kHiddenUnits + r * kLanes, behind);
          sums[kind].bias1[r] += behind;
          sums[kind].weight2[r] += found.value * delta;
        }
      }
      for (int kind = 0; kind < kKinds; ++kind) sums[kind].bias2 += work.deltas[kind][at];
    }
  });
}

/// Gradients in the weights of kInputs inputs from `input` on.
template <int kKinds, std::int64_t kInputs>
FORESIGHT_INLINE void sum_products(const GradientWork& work, const ScorerRoom& room, std::int64_t head,
                                   std::int64_t input, const GradientSums (&sums)[kKinds]) {
  const float* const column = work.features + head * work.entries * work.inputs + input;
  Hidden products[kInputs][kKinds] = {};
  for (std::int64_t place = 0; place < work.entries; ++place) {
    Hidden behind[kKinds];
    for (int kind = 0; kind < kKinds; ++kind) {
      for (std::int64_t r = 0; r < kHiddenRegisters; ++r)
        behind[kind][r] = load(room.behind + (place * kKinds + kind) * kHiddenUnits + r * kLanes);
    }
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kInputs; ++i) {
      const float number = column[place * work.inputs + i];
      for (int kind = 0; kind < kKinds; ++kind) {
        for (std::int64_t r = 0; r < kHiddenRegisters; ++r) products[i][kind][r] += number * behind[kind][r];
      }
    }
  }
  const std::int64_t row = head / work.kv_heads, kv_head = head % work.kv_heads;
  for (int kind = 0; kind < kKinds; ++kind) {
    const GradientPlaces to(work.gradients[kind] + row * work.numbers(), work, kv_head);
    for (std::int64_t i = 0; i < kInputs; ++i) {
      const std::int64_t at = kv_head * work.inputs + input + i;
      for (std::int64_t r = 0; r < kHiddenRegisters; ++r) {
        store(to.weight1 + (input + i) * kHiddenUnits + r * kLanes,
              (products[i][kind][r] - sums[kind].bias1[r] * work.mean[at]) / work.deviation[at]);
      }
    }
  }
}

template <int kKinds>
FORESIGHT_INLINE void differentiate_head(const GradientWork& work, const ScorerRoom& room,
                                         std::int64_t head) {
  GradientSums sums[kKinds];
  go_back<kKinds>(work, room, head, sums);
  for (int kind = 0; kind < kKinds; ++kind) {
    const GradientPlaces to(work.gradients[kind] + head / work.kv_heads * work.numbers(), work,
                            head % work.kv_heads);
    for (std::int64_t r = 0; r < kHiddenRegisters; ++r) {
      store(to.bias1 + r * kLanes, sums[kind].bias1[r]);
      store(to.weight2 + r * kLanes, sums[kind].weight2[r]);
    }
    *to.bias2 = sums[kind].bias2;
  }
  std::int64_t input = 0;
  for (; input + kInputsTogether <= work.inputs; input += kInputsTogether)
    sum_products<kKinds, kInputsTogether>(work, room, head, input, sums);
  for (; input < work.inputs; ++input) sum_products<kKinds, 1>(work, room, head, input, sums);
}

FORESIGHT_INLINE void differentiate_heads(const GradientWork& work, const ScorerRoom& room,
                                          std::int64_t first, std::int64_t last) {
  for (std::int64_t head = first; head < last; ++head) {
    if (work.deltas[1] == nullptr) {
      differentiate_head<1>(work, room, head);
    } else {
      differentiate_head<2>(work, room, head);
    }
  }
}

}  // namespace
}  // namespace foresight::kernels
