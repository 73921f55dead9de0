// What is benchmarked: the list of cases, each a shape, an operator and the peer beside it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"

namespace attnlab::bench {

enum class Op {
  kAttention,          ///< ops::attention
  kAttentionBackward,  ///< its gradients of q, k and v, through autograd on both sides
  kNaive,              ///< ops::naive_attention
  kLinear,             ///< ops::linear_attention, causal, elu + 1, normalised
  kLinearBackward,     ///< its gradients of q, k and v, through autograd on both sides
  kDecode,             ///< ops::decode_attention, one query
};

/// Where the time to beat comes from; all in Torch operators.
enum class Peer {
  kSdpa,             ///< scaled_dot_product_attention, is_causal
  kSdpaMask,         ///< the same with a boolean mask, which is all it has for windows
  kSdpaGqa,          ///< the same with enable_gqa
  kSdpaGroupedRows,  ///< the same with the heads of a group as query rows of their key-value head
  kPlainOps,         ///< matmul, softmax, matmul
  kChunkedOps,       ///< the fastest of looped and batched chunks of 64, 128, 256
};

struct BenchCase {
  std::string group;  ///< e.g. "exact_forward"; the first part of the name
  Op op = Op::kAttention;
  Peer peer = Peer::kSdpa;
  DType dtype = DType::kFloat32;
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t seqlen = 1;  ///< of keys; of queries too but for decode
  std::int64_t head_dim = 1;
  bool causal = false;
  std::int64_t window = 0;  ///< keys a query sees, its own included; 0 = all
  int threads = 1;
  bool force_avx2 = false;  ///< our kernel as on a machine without AVX-512; Torch stays as it is
  bool in_default = false;  ///< part of the run of about five minutes

  bool is_backward() const { return op == Op::kAttentionBackward || op == Op::kLinearBackward; }
};

/// "exact_forward/float32/H4/N4096/d64/causal/threads:2"; unique in a list.
std::string case_name(const BenchCase& bench_case);

/// All cases for each thread count, largest thread count of each shape last.
std::vector<BenchCase> all_cases(const std::vector<int>& threads);

/// The same groups with tiny shapes, to see that everything runs; the times mean nothing.
std::vector<BenchCase> smoke_cases(const std::vector<int>& threads);

}  // namespace attnlab::bench
