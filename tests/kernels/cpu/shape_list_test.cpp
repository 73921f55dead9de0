// Errors of exact attention over the lengths and head dimensions of FlashAttention's own tests
// (Dao et al. 2022, arXiv 2205.14135), every dtype and instruction set: against float64 (float64:
// long double), at most twice (gradients: three times) the error of the plain formula in the same
// dtype. The product of the axes is sampled with fixed strides; a test below counts that every
// value of every axis occurs.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <future>
#include <map>
#include <set>
#include <string>

#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/plain_attention.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

constexpr std::array<std::pair<int, int>, 11> kLengths = {{{1, 147},
                                                           {113, 203},
                                                           {128, 217},
                                                           {113, 211},
                                                           {108, 256},
                                                           {256, 512},
                                                           {512, 256},
                                                           {1024, 1024},
                                                           {1023, 1024},
                                                           {1024, 1023},
                                                           {2048, 2048}}};
constexpr std::array kHeadDims = {32, 40, 59, 64, 80, 96, 111, 128, 160, 192, 224, 256};
constexpr std::array<std::pair<int, int>, 3> kHeads = {{{2, 2}, {4, 2}, {2, 1}}};
constexpr std::array<MaskOptions, 5> kMasks = {
    {{false, -1, -1}, {true, -1, -1}, {false, 37, 11}, {true, 64, -1}, {false, -1, 5}}};
constexpr std::array kScores = {"scale", "softcap", "alibi", "both"};

/// Indices into the axes.
struct Sample {
  std::size_t length, head_dim, heads, mask, score, dtype;
};

/// The samples of one pair of lengths.
std::vector<Sample> samples_of(std::size_t length) {
  // The plain formulas take seconds where both lengths are over 1000, and long double longer still.
  const bool is_long = kLengths[length].first > 1000;
  const std::size_t count = is_long ? 5 : 24;
  std::vector<Sample> samples;
  for (std::size_t n = 0; n < count; ++n) {
    const std::size_t i = 5 * length + n + n / 12;
    samples.push_back({length, (3 * length + (is_long ? 4 : 1) * n) % kHeadDims.size(),
                       i % kHeads.size(), (2 * i + length) % kMasks.size(),
                       (i + n / 4) % kScores.size(), (length + n) % (is_long ? 3 : 4)});
  }
  return samples;
}

constexpr std::array kSampledDTypes = {DType::kFloat32, DType::kBFloat16, DType::kFloat16,
                                       DType::kFloat64};
static_assert(kSampledDTypes.size() == kDTypes.size());

double norm(const std::vector<double>& a) {
  double sum = 0.0;
  for (const double x : a) sum += x * x;
  return std::sqrt(sum);
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return norm(difference);
}

/// The largest ratio of errors seen, by what and dtype.
struct Largest {
  double ratio = 0.0;
  std::string where;
};
std::map<std::string, Largest>& largest_ratios() {
  static std::map<std::string, Largest> ratios;
  return ratios;
}

class ShapeList : public ::testing::TestWithParam<std::size_t> {
 protected:
  static void TearDownTestSuite() {
    for (const auto& [what, largest] : largest_ratios()) {
      std::printf("largest error ratio, %s: %.2f (%s)\n", what.c_str(), largest.ratio,
                  largest.where.c_str());
    }
  }
};

void expect_ratio(const std::string& what, const AttentionCase& c, const std::string& isa,
                  const std::vector<double>& actual, const std::vector<double>& plain,
                  const std::vector<double>& wide, double allowed) {
  ASSERT_EQ(actual.size(), wide.size());
  const double error = distance(actual, wide);
  const double plain_error = distance(plain, wide);
  // What rounding the exact result once may cost.
  const double epsilon = unit_roundoff(c.shape.dtype) * norm(wide);
  EXPECT_LE(error, allowed * plain_error + epsilon)
      << what << " of " << c.describe() << " on " << isa << ": the plain formula's error is "
      << plain_error << ", the norm " << norm(wide);
  Largest& largest = largest_ratios()[what + " " + std::string(dtype_name(c.shape.dtype))];
  if (error / plain_error > largest.ratio) {
    largest = {error / plain_error, c.describe() + " on " + isa};
  }
}

void check(const Sample& sample) {
  const auto [seqlen_q, seqlen_k] = kLengths[sample.length];
  const auto [heads, kv_heads] = kHeads[sample.heads];
  const std::int64_t d = kHeadDims[sample.head_dim];
  AttentionCase c(
      make_shape(1, heads, kv_heads, seqlen_q, seqlen_k, d, d, kSampledDTypes[sample.dtype]),
      kMasks[sample.mask]);
  const std::string score = kScores[sample.score];
  if (score == "softcap" || score == "both") c.score.softcap = 3.0;
  if (score == "alibi" || score == "both") c.use_alibi();

  const PlainInputs inputs{c.shape, c.mask, c.score, &c.q, &c.k, &c.v, &c.grad_out};
  auto pending = std::async(std::launch::async, [&] { return plain_attention(inputs); });
  const PlainResult wide = wide_attention(inputs);
  const PlainResult plain = pending.get();
  for (const cpu::Isa isa : cpu::available_isas()) {
    cpu::override_isa_for_testing(isa);
    c.run_forward();
    c.run_backward();
    const std::string name = cpu::isa_name(isa);
    expect_ratio("out", c, name, c.out.values(), plain.out, wide.out, 2.0);
    expect_ratio("grad_q", c, name, c.grad_q.values(), plain.grad_q, wide.grad_q, 3.0);
    expect_ratio("grad_k", c, name, c.grad_k.values(), plain.grad_k, wide.grad_k, 3.0);
    expect_ratio("grad_v", c, name, c.grad_v.values(), plain.grad_v, wide.grad_v, 3.0);
  }
}

TEST_P(ShapeList, ErrorsStayNearThoseOfThePlainFormula) {
  for (const Sample& sample : samples_of(GetParam())) check(sample);
}

std::string length_name(const ::testing::TestParamInfo<std::size_t>& index) {
  const auto& lengths = kLengths[index.param];
  return std::to_string(lengths.first) + "_" + std::to_string(lengths.second);
}

INSTANTIATE_TEST_SUITE_P(Lengths, ShapeList, ::testing::Range<std::size_t>(0, kLengths.size()),
                         length_name);

TEST(PlainAttention, InDoubleEqualsTheElementwiseReference) {
  AttentionCase c(make_shape(2, 4, 2, 30, 41, 8, 6), {true, 9, -1});
  c.score.softcap = 2.0;
  c.use_alibi();
  const PlainResult wide =
      wide_attention({c.shape, c.mask, c.score, &c.q, &c.k, &c.v, &c.grad_out});
  const ReferenceResult forward = reference_attention(c.shape, c.mask, c.score, c.q, c.k, c.v);
  const ReferenceGradients backward =
      reference_attention_gradients(c.shape, c.mask, c.score, c.q, c.k, c.v, c.grad_out);
  EXPECT_TRUE(all_close(wide.out, forward.out, 1e-13));
  EXPECT_TRUE(all_close(wide.grad_q, backward.grad_q, 1e-13));
  EXPECT_TRUE(all_close(wide.grad_k, backward.grad_k, 1e-13));
  EXPECT_TRUE(all_close(wide.grad_v, backward.grad_v, 1e-13));
}

TEST(ShapeListSamples, CoverEveryValueOfEveryAxis) {
  std::set<std::size_t> dims, heads, masks, scores, dtypes;
  for (std::size_t length = 0; length < kLengths.size(); ++length) {
    for (const Sample& s : samples_of(length)) {
      dims.insert(s.head_dim);
      heads.insert(s.heads);
      masks.insert(s.mask);
      scores.insert(s.score);
      dtypes.insert(s.dtype);
    }
  }
  EXPECT_EQ(dims.size(), kHeadDims.size());
  EXPECT_EQ(heads.size(), kHeads.size());
  EXPECT_EQ(masks.size(), kMasks.size());
  EXPECT_EQ(scores.size(), kScores.size());
  EXPECT_EQ(dtypes.size(), kDTypes.size());
}

}  // namespace
}  // namespace attnlab::testing
