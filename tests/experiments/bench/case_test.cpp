#include "experiments/bench/case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "experiments/bench/summary.h"

namespace attnlab::bench {
namespace {

TEST(Case, NamesSayWhatIsMeasured) {
  const BenchCase c{.group = "exact_forward",
                    .dtype = DType::kBFloat16,
                    .heads = 4,
                    .kv_heads = 4,
                    .seqlen = 4096,
                    .head_dim = 64,
                    .causal = true,
                    .threads = 2};
  EXPECT_EQ(case_name(c), "exact_forward/bfloat16/H4/N4096/d64/causal/threads:2");
  BenchCase grouped = c;
  grouped.kv_heads = 1;
  grouped.window = 16;
  EXPECT_EQ(case_name(grouped), "exact_forward/bfloat16/H4:1/N4096/d64/window16/threads:2");
}

TEST(Case, NamesAreUnique) {
  std::set<std::string> names;
  const auto cases = all_cases({1, 2});
  for (const BenchCase& c : cases) names.insert(case_name(c));
  EXPECT_EQ(names.size(), cases.size());
}

TEST(Case, EveryCaseHasATarget) {
  for (const BenchCase& c : all_cases({1})) {
    const Target target = target_of(c);
    EXPECT_TRUE(target.fraction || target.speedup) << case_name(c);
  }
}

TEST(Case, DefaultAndSmokeHaveEveryGroup) {
  std::set<std::string> all, in_default, smoke;
  for (const BenchCase& c : all_cases({1, 2})) {
    all.insert(target_of(c).group);
    if (c.in_default) in_default.insert(target_of(c).group);
  }
  for (const BenchCase& c : smoke_cases({2})) smoke.insert(target_of(c).group);
  EXPECT_EQ(in_default, all);
  EXPECT_EQ(smoke, all);
}

TEST(Case, OneHeadIsForTheMostThreadsOnly) {
  for (const BenchCase& c : all_cases({2, 1})) {
    if (c.group == "exact_backward_one_head") {
      EXPECT_EQ(c.threads, 2);
    }
  }
}

}  // namespace
}  // namespace attnlab::bench
