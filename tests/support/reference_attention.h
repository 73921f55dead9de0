// The formulas in float64, one pair of tokens at a time. Shares the argument structs with the
// kernels and nothing else: visibility is written out again from its definition.
#pragma once

#include <vector>

#include "kernels/core/linear_args.h"
#include "tests/support/host_tensor.h"

namespace attnlab::testing {

struct ReferenceResult {
  std::vector<double> out, lse;
};

struct ReferenceGradients {
  std::vector<double> grad_q, grad_k, grad_v;
  std::vector<double> grad_log_decay;  ///< linear attention only
};

bool reference_visible(const AttentionShape& shape, const MaskOptions& mask, std::int64_t batch_idx,
                       std::int64_t q_idx, std::int64_t k_idx);

ReferenceResult reference_attention(const AttentionShape& shape, const MaskOptions& mask,
                                    const ScoreOptions& score, const HostTensor& q,
                                    const HostTensor& k, const HostTensor& v);

ReferenceGradients reference_attention_gradients(const AttentionShape& shape,
                                                 const MaskOptions& mask, const ScoreOptions& score,
                                                 const HostTensor& q, const HostTensor& k,
                                                 const HostTensor& v, const HostTensor& grad_out);

std::vector<double> reference_linear_attention(const AttentionShape& shape,
                                               const LinearOptions& options, const HostTensor& q,
                                               const HostTensor& k, const HostTensor& v);

ReferenceGradients reference_linear_gradients(const AttentionShape& shape,
                                              const LinearOptions& options, const HostTensor& q,
                                              const HostTensor& k, const HostTensor& v,
                                              const HostTensor& grad_out);

}  // namespace attnlab::testing
