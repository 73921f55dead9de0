// Makes the tensors of a trial by name: "gaussian" or "text".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "variants/api/options.h"
#include "variants/api/problem.h"

namespace attnlab::measure {

struct InputsRequest {
  std::string name = "gaussian";
  std::map<std::string, OptionValue> options = {};  ///< see inputs_specs
  Problem problem = {};
  std::uint64_t seed = 0;
};

struct TrialInputs {
  Inputs inputs;        ///< q, k, v, causal and scale of the problem
  at::Tensor grad_out;  ///< N(0, 1) like out; undefined where the direction has no backward pass
};

/// "gaussian", "text".
std::vector<std::string> input_names();

/// The options of one kind of inputs. Throws ConfigError for an unknown name (listing the known
/// ones and the nearest).
std::vector<OptionSpec> inputs_specs(const std::string& name);

/// q `[batch, heads, seqlen_q, head_dim]`, k `[batch, kv_heads, seqlen_k, head_dim]`, v `[batch,
/// kv_heads, seqlen_k, head_dim_v]`, grad_out `[batch, heads, seqlen_q, head_dim_v]`: contiguous,
/// of the problem's dtype, on its device, without requires_grad. Computed in float32 and rounded
/// once, so every dtype sees the same numbers. The same request gives the same bits for any number
/// of threads; q, k and v do not depend on the direction. Temporaries are freed before it returns.
///
/// gaussian: independent N(0, 1) elements.
/// text: see text_inputs.h.
///
/// Throws ConfigError for an unknown name or option and for a text that is too short.
TrialInputs make_inputs(const InputsRequest& request);

}  // namespace attnlab::measure
