#include "variants/api/conformance_cases.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include "variants/api/declared_tensors.h"

namespace attnlab {
namespace {

struct Sizes {
  std::int64_t batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v;
};

constexpr Sizes kSizes[] = {
    {1, 1, 1, 1, 1, 8, 8},        // a single token
    {1, 1, 1, 4, 4, 3, 3},        // the worked example of the textbooks
    {2, 2, 2, 37, 37, 16, 16},    // a prime length
    {1, 2, 2, 64, 64, 64, 64},    // whole tiles
    {1, 2, 1, 65, 65, 32, 32},    // one row more than a tile
    {2, 4, 2, 129, 129, 16, 16},  // grouped queries
    {1, 4, 1, 53, 53, 80, 80},    // one key head for all
    {1, 2, 2, 17, 80, 24, 24},    // fewer queries than keys
    {1, 2, 2, 50, 20, 16, 16},    // more queries than keys: rows without a key where causal
    {1, 2, 2, 31, 31, 24, 40},    // head_dim_v above head_dim
    {1, 2, 2, 31, 31, 40, 24},    // and below
    {1, 1, 1, 19, 19, 1, 1},      // the smallest head_dim
    {1, 1, 1, 33, 33, 256, 256},  // the largest head_dim
    {1, 2, 2, 300, 300, 32, 32},  // several tiles and chunks
};

}  // namespace

std::vector<Problem> conformance_problems() {
  std::vector<Problem> problems;
  for (const bool causal : {false, true}) {
    for (const Sizes& s : kSizes) {
      for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
        const bool reduced = dtype == at::kBFloat16 || dtype == at::kHalf;
        // Reduced types follow the same control flow: a few shapes are enough.
        if (reduced && s.seqlen_q != 37 && s.seqlen_q != 129 && s.seqlen_q != 17) continue;
        Problem problem;
        problem.batch = s.batch;
        problem.heads = s.heads;
        problem.kv_heads = s.kv_heads;
        problem.seqlen_q = s.seqlen_q;
        problem.seqlen_k = s.seqlen_k;
        problem.head_dim = s.head_dim;
        problem.head_dim_v = s.head_dim_v;
        problem.dtype = dtype;
        problem.causal = causal;
        problem.direction = Direction::kForwardBackward;
        problems.push_back(problem);
      }
    }
  }
  return problems;
}

Inputs conformance_inputs(const Variant& variant, const Problem& p, std::uint64_t seed,
                          bool with_optional) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto normal = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble))
        .to(p.device, p.dtype);
  };
  Inputs inputs;
  inputs.q = normal({p.batch, p.heads, p.seqlen_q, p.head_dim});
  inputs.k = normal({p.batch, p.kv_heads, p.seqlen_k, p.head_dim});
  inputs.v = normal({p.batch, p.kv_heads, p.seqlen_k, p.head_dim_v});
  inputs.causal = p.causal;
  inputs.scale = p.scale;
  inputs.extra = make_declared_tensors(variant.info(), p, generator, with_optional);
  return inputs;
}

std::string case_name(const Problem& p) {
  return fmt::format("b{} h{}/{} q{} k{} d{}/{} {} {}", p.batch, p.heads, p.kv_heads, p.seqlen_q,
                     p.seqlen_k, p.head_dim, p.head_dim_v, p.causal ? "causal" : "full",
                     dtype_name(p.dtype));
}

}  // namespace attnlab
