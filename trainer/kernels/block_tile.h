// 16 x 16 sums that the 32 threads of a warp hold together, and the products that are added to them. No
// torch.
#pragma once

#include "trainer/kernels/block_numbers.h"

#ifdef __CUDACC__
#include <mma.h>

#include <type_traits>
#endif

namespace foresight::kernels {

inline constexpr int kTile = 16;

/// Each thread holds half a row. Operands lie in shared memory, rows `stride` numbers apart.
template <typename Number>
class LaneTile {
 public:
  FORESIGHT_BLOCK void clear() { FORESIGHT_UNROLL for (int i = 0; i < kHeld; ++i) sums_[i] = 0.0F; }
  /// += a [16, 16] times b [16, 16] transposed.
  FORESIGHT_BLOCK void add_transposed(int lane, const Number* a, int a_stride, const Number* b,
                                      int b_stride) {
    const Number* const row = a + lane / 2 * a_stride;
    const Number* const columns = b + lane % 2 * kHeld * b_stride;
    for (int k = 0; k < kTile; ++k) {
      const float factor = wide(row[k]);
      FORESIGHT_UNROLL for (int i = 0; i < kHeld; ++i) sums_[i] += factor * wide(columns[i * b_stride + k]);
    }
  }
  /// += a [16, 16] times b [16, 16].
  FORESIGHT_BLOCK void add(int lane, const Number* a, int a_stride, const Number* b, int b_stride) {
    const Number* const row = a + lane / 2 * a_stride;
    const Number* const columns = b + lane % 2 * kHeld;
    for (int k = 0; k < kTile; ++k) {
      const float factor = wide(row[k]);
      FORESIGHT_UNROLL for (int i = 0; i < kHeld; ++i) sums_[i] += factor * wide(columns[k * b_stride + i]);
    }
  }
  FORESIGHT_BLOCK void store(int lane, float* to, int stride) const {
    FORESIGHT_UNROLL for (int i = 0; i < kHeld; ++i) to[lane / 2 * stride + lane % 2 * kHeld + i] = sums_[i];
  }

 private:
  static constexpr int kHeld = kTile * kTile / 32;
  float sums_[kHeld];
};

#ifdef __CUDACC__
/// bfloat16 goes through the tensor cores: the same products, summed in an order of their own.
class CoreTile {
 public:
  FORESIGHT_BLOCK void clear() { nvcuda::wmma::fill_fragment(sums_, 0.0F); }
  FORESIGHT_BLOCK void add_transposed(int, const BlockHalf* a, int a_stride, const BlockHalf* b,
                                      int b_stride) {
    multiply<nvcuda::wmma::col_major>(a, a_stride, b, b_stride);
  }
  FORESIGHT_BLOCK void add(int, const BlockHalf* a, int a_stride, const BlockHalf* b, int b_stride) {
    multiply<nvcuda::wmma::row_major>(a, a_stride, b, b_stride);
  }
  FORESIGHT_BLOCK void store(int, float* to, int stride) const {
    nvcuda::wmma::store_matrix_sync(to, sums_, static_cast<unsigned>(stride), nvcuda::wmma::mem_row_major);
  }

 private:
  template <typename Layout>
  FORESIGHT_BLOCK void multiply(const BlockHalf* a, int a_stride, const BlockHalf* b, int b_stride) {
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, kTile, kTile, kTile, BlockHalf, nvcuda::wmma::row_major>
        left;
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, kTile, kTile, kTile, BlockHalf, Layout> right;
    nvcuda::wmma::load_matrix_sync(left, a, static_cast<unsigned>(a_stride));
    nvcuda::wmma::load_matrix_sync(right, b, static_cast<unsigned>(b_stride));
    nvcuda::wmma::mma_sync(sums_, left, right, sums_);
  }
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, kTile, kTile, kTile, float> sums_;
};
template <typename Number>
using Tile = std::conditional_t<std::is_same_v<Number, BlockHalf>, CoreTile, LaneTile<Number>>;
#else
template <typename Number>
using Tile = LaneTile<Number>;
#endif

}  // namespace foresight::kernels
