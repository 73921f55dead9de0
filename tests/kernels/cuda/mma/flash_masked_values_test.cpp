// NaN and infinity in tokens that a query may not see.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/cuda/mma/flash.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

constexpr FlashFamily kMma = {cuda::mma::plan_forward, cuda::mma::run_forward,
                              cuda::mma::plan_backward, cuda::mma::run_backward};
constexpr std::int64_t kLength = 80;
constexpr std::int64_t kDim = 8;
constexpr std::int64_t kWideDim = 136;  ///< in tiles of 256

struct Results {
  std::vector<double> out, lse, grad_q, grad_k, grad_v;
  explicit Results(DeviceCase& c) {
    c.run_forward(kMma);
    c.run_backward(kMma);
    out = c.out.values();
    lse = c.lse.values();
    grad_q = c.grad_q.values();
    grad_k = c.grad_k.values();
    grad_v = c.grad_v.values();
  }
};

/// Expects rows with clean(s) to be equal in both, and the others to be NaN or infinite.
void expect_rows(const std::vector<double>& actual, const std::vector<double>& expected,
                 std::int64_t dim, const char* what,
                 const std::function<bool(std::int64_t)>& clean) {
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::int64_t s = static_cast<std::int64_t>(i) / dim % kLength;
    if (clean(s)) {
      ASSERT_EQ(actual[i], expected[i]) << what << " of row " << s << ", which is not affected";
    } else {
      ASSERT_FALSE(std::isfinite(actual[i])) << what << " of row " << s << " hides the bad value";
    }
  }
}

void expect_bad_key_stays_local(const MaskOptions& mask, std::int64_t token, double bad,
                                std::int64_t offset, std::int64_t dim) {
  DeviceCase clean(make_shape(1, 1, 1, kLength, kLength, dim, dim, DType::kBFloat16), mask);
  DeviceCase c(clean.shape, mask);
  clean.offset = c.offset = offset;
  c.v.fill_row(token, bad);
  if (std::isnan(bad)) c.k.fill_row(token, bad);
  const Results expected(clean);
  const Results actual(c);
  const auto blind = [&](std::int64_t q) { return !reference_visible(c.shape, mask, 0, q, token); };
  expect_rows(actual.out, expected.out, dim, "out", blind);
  expect_rows(actual.grad_q, expected.grad_q, dim, "grad_q", blind);
  // Keys are reached through queries that see the bad token and them.
  const auto apart = [&](std::int64_t k) {
    for (std::int64_t q = 0; q < kLength; ++q) {
      if (!blind(q) && reference_visible(c.shape, mask, 0, q, k)) return false;
    }
    return true;
  };
  expect_rows(actual.grad_k, expected.grad_k, dim, "grad_k", apart);
}

TEST(MmaFlashMaskedValues, BadKeysAndValuesReachOnlyQueriesThatSeeThem) {
  for (const MaskOptions& mask : {MaskOptions{true, -1, -1}, MaskOptions{false, 3, 9}}) {
    for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      for (const std::int64_t token : {0, 31, 64, 79}) {
        expect_bad_key_stays_local(mask, token, bad, token % 2, kDim);
      }
    }
  }
}

void expect_bad_query_stays_local(const MaskOptions& mask, std::int64_t token, bool in_grad_out,
                                  std::int64_t dim) {
  DeviceCase clean(make_shape(1, 1, 1, kLength, kLength, dim, dim, DType::kBFloat16), mask);
  DeviceCase c(clean.shape, mask);
  (in_grad_out ? c.grad_out : c.q).fill_row(token, std::nan(""));
  const Results expected(clean);
  const Results actual(c);
  const auto other_query = [&](std::int64_t q) { return q != token; };
  const auto unseen = [&](std::int64_t k) {
    return !reference_visible(c.shape, mask, 0, token, k);
  };
  expect_rows(actual.grad_q, expected.grad_q, dim, "grad_q", other_query);
  expect_rows(actual.grad_k, expected.grad_k, dim, "grad_k", unseen);
  expect_rows(actual.grad_v, expected.grad_v, dim, "grad_v", unseen);
  if (in_grad_out) {
    EXPECT_EQ(actual.out, expected.out);
  } else {
    expect_rows(actual.out, expected.out, dim, "out", other_query);
    expect_rows(actual.lse, expected.lse, 1, "lse", other_query);
  }
}

TEST(MmaFlashMaskedValues, BadQueriesReachOnlyTheirKeys) {
  for (const MaskOptions& mask : {MaskOptions{true, -1, -1}, MaskOptions{false, 3, 9}}) {
    for (const std::int64_t token : {0, 32, 63, 79}) {
      for (const bool in_grad_out : {false, true}) {
        expect_bad_query_stays_local(mask, token, in_grad_out, kDim);
      }
    }
  }
}

TEST(MmaFlashMaskedValues, InTheWidestTiles) {
  expect_bad_key_stays_local({true, -1, -1}, 64, std::nan(""), 0, kWideDim);
  expect_bad_key_stays_local({false, 3, 9}, 31, std::numeric_limits<double>::infinity(), 0,
                             kWideDim);
  expect_bad_query_stays_local({true, -1, -1}, 32, true, kWideDim);
  expect_bad_query_stays_local({false, 3, 9}, 63, false, kWideDim);
}

TEST(MmaFlashMaskedValues, BadTokensBeyondSeqlensAreNeverRead) {
  DeviceCase c(make_shape(2, 2, 1, 30, 80, kDim, kDim, DType::kFloat16), {});
  c.use_seqlens({47, 80});
  for (std::int64_t s = 47; s < 80; ++s) {
    for (std::int64_t x = 0; x < kDim; ++x) {
      c.k.set(0, 0, s, x, std::nan(""));
      c.v.set(0, 0, s, x, std::numeric_limits<double>::infinity());
    }
  }
  c.run_forward(kMma);
  c.run_backward(kMma);
  for (const HostTensor* tensor : {&c.out, &c.grad_q, &c.grad_k, &c.grad_v}) {
    for (const double x : tensor->values()) ASSERT_TRUE(std::isfinite(x));
  }
  EXPECT_EQ(c.grad_k.get(0, 0, 47, 0), 0.0);
  EXPECT_EQ(c.grad_v.get(0, 0, 79, 0), 0.0);
}

// Its score is -inf for every query, so its weight is 0: queries that do not exist must not change
// that, whether or not the last tile of queries is full.
TEST(MmaFlashMaskedValues, KeyWithWeightsOfZeroHasGradientsOfZeroAtAnyLength) {
  constexpr std::int64_t kToken = 5;
  for (const std::int64_t queries : {1, 32, 33, 64, 80}) {
    DeviceCase c(make_shape(1, 1, 1, queries, 64, 8, 8, DType::kBFloat16), {});
    for (std::int64_t q = 0; q < queries; ++q) c.q.set(0, 0, q, 0, 1.0);
    c.k.set(0, 0, kToken, 0, -std::numeric_limits<double>::infinity());
    c.run_forward(kMma);
    c.run_backward(kMma);
    for (std::int64_t x = 0; x < 8; ++x) {
      ASSERT_EQ(c.grad_k.get(0, 0, kToken, x), 0.0) << queries << " queries";
      ASSERT_EQ(c.grad_v.get(0, 0, kToken, x), 0.0) << queries << " queries";
    }
  }
}

}  // namespace
}  // namespace attnlab::testing
