// The products of cuda_matrix_products.h are library calls that run on any device: here on the CPU,
// against those of the CPU operators.
#include "kernels/ops/cuda_matrix_products.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/ops/matrix_products.h"

namespace attnlab::ops {
namespace {

struct Sizes {
  std::int64_t batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim;
};

class CudaProducts : public testing::TestWithParam<Sizes> {
 protected:
  at::Tensor normal(std::int64_t heads, std::int64_t rows, std::int64_t columns) {
    return at::randn({GetParam().batch, heads, rows, columns}, at::kDouble);
  }
  /// The same numbers as `[batch, seqlen, heads, n]`, seen as `[batch, heads, seqlen, n]`.
  static at::Tensor strided(const at::Tensor& t) {
    return t.transpose(1, 2).contiguous().transpose(1, 2);
  }
  static void expect_same(const at::Tensor& a, const at::Tensor& b) {
    EXPECT_TRUE(at::allclose(a, b, 1e-12, 1e-12));
  }
};

TEST_P(CudaProducts, EqualThoseOfTheCpuOperators) {
  const Sizes s = GetParam();
  const at::Tensor queries = normal(s.heads, s.seqlen_q, s.head_dim);
  const at::Tensor keys = normal(s.kv_heads, s.seqlen_k, s.head_dim);
  const at::Tensor coeff = normal(s.heads, s.seqlen_q, s.seqlen_k);
  for (const bool is_strided : {false, true}) {
    const at::Tensor q = is_strided ? strided(queries) : queries;
    const at::Tensor k = is_strided ? strided(keys) : keys;
    const at::Tensor scores = at::empty_like(coeff);
    const at::Tensor expected_scores = at::empty_like(coeff);
    cuda_product_to_scores(q, k, scores);
    product_to_scores(q, k, expected_scores);
    expect_same(scores, expected_scores);

    const at::Tensor rows = at::empty_like(queries);
    const at::Tensor expected_rows = at::empty_like(queries);
    cuda_product_to_query_rows(coeff, k, rows);
    product_to_query_rows(coeff, k, expected_rows);
    expect_same(rows, expected_rows);

    const at::Tensor key_rows = at::empty_like(keys);
    const at::Tensor expected_key_rows = at::empty_like(keys);
    cuda_product_to_key_rows(coeff, q, key_rows);
    product_to_key_rows(coeff, q, expected_key_rows);
    expect_same(key_rows, expected_key_rows);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CudaProducts,
                         testing::Values(Sizes{1, 1, 1, 1, 1, 1}, Sizes{2, 3, 3, 7, 7, 5},
                                         Sizes{3, 4, 2, 9, 5, 8}, Sizes{2, 6, 1, 4, 11, 3}));

TEST(AllFinite, FindsWhatIsNot) {
  const at::Tensor ones = at::ones({2, 3, 4}, at::kBFloat16);
  EXPECT_TRUE(all_finite_on_device({ones, ones}));
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble}) {
      const at::Tensor bad = at::ones({2, 3, 4}, dtype);
      bad.select(2, 3).select(1, 1).select(0, 1).fill_(value);
      EXPECT_FALSE(all_finite_on_device({ones, bad}));
      EXPECT_TRUE(all_finite_on_device({bad.narrow(2, 0, 3)})) << "only what is in the view counts";
    }
  }
}

}  // namespace
}  // namespace attnlab::ops
