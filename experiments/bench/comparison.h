// Makes the two sides of a case: our operator and its peers on the same tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "experiments/bench/case.h"

namespace attnlab::bench {

using Tensors = std::vector<at::Tensor>;

struct Side {
  std::string name;
  std::function<Tensors()> run;  ///< what is timed; returns what the sides are compared by
};

struct Comparison {
  Side ours;                ///< name: of the kernel, from the plan that the call follows
  std::vector<Side> peers;  ///< candidates; the fastest is the peer
  double work = 0;          ///< flops of one call; bytes of K and V for decode
};

/// Draws independent N(0, 1) inputs, rounded to the dtype, from a fixed seed. Backward sides run
/// their forward pass here, once; each run is one torch::autograd::grad with the graph kept.
/// Contract: Torch's number of threads is that of the case, and the instruction set is chosen.
Comparison make_comparison(const BenchCase& bench_case);

/// The largest difference between corresponding tensors, as ||a - b|| / ||b|| in float64; infinity
/// where a result is not finite or the numbers of tensors differ.
double relative_l2(const Tensors& ours, const Tensors& theirs);

/// What relative_l2 may be: both sides round, at most about once per stored result and once per
/// weight. float32: 256 eps forward and backward (long sums, exp of 20 bits in Torch); bfloat16: 2
/// eps forward, 4 eps backward (Torch keeps its gradients in bfloat16 while summing).
double tolerance_of(const BenchCase& bench_case);

}  // namespace attnlab::bench
