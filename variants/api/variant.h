// The interface of an attention variant: the one class a researcher implements.
//
// A variant says *what* is scored, masked and normalised; it is thin, differentiable and works on
// Torch tensors. Ten lines of Torch operations in `do_forward` make a complete variant (autograd
// and devices come from Torch); speed comes from the operators in kernels/ops.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "variants/api/options.h"
#include "variants/api/problem.h"

namespace attnlab {

/// A tensor that a variant takes beyond q, k, v: declared, so that modules and tests can make it.
struct ExtraInput {
  std::string name;       ///< key in Inputs::extra
  std::string shape;      ///< e.g. "[batch, heads, seqlen_k]", dimension names of Problem
  std::string help;       ///< meaning, range, who produces it
  bool optional = false;  ///< used where it is given
};

/// A tensor that is learned with the model and belongs to the variant: MultiheadAttention makes it
/// and hands it over in Inputs::extra. Starts as N(0, 1 / size of its last dimension).
struct LearnedParameter {
  std::string name;   ///< key in Inputs::extra
  std::string shape;  ///< of heads, kv_heads, head_dim and head_dim_v only: "[heads, head_dim]"
  std::string help;   ///< its place in the formula
};

struct VariantInfo {
  std::string name;
  std::string summary;       ///< one line
  std::string paper;         ///< authors, year, arXiv number; empty where there is none
  bool exact = true;         ///< equals softmax attention under its own mask
  std::string time_order;    ///< e.g. "N^2"
  std::string memory_order;  ///< beyond inputs and outputs, e.g. "N"
  int version = 1;           ///< raise when results or cost change; part of the resume key
  std::vector<ExtraInput> extra_inputs = {};
  std::vector<LearnedParameter> parameters = {};
  /// Conformance properties that the variant is known not to keep, with the reason: reported as
  /// skipped. For baselines made by others; our own variants have none.
  std::map<std::string, std::string> known_exceptions = {};
};

class Variant {
 public:
  virtual ~Variant() = default;

  virtual VariantInfo info() const = 0;

  /// The options in force; default: none.
  virtual const Options& options() const;

  /// Whether `forward` can do this problem; `forward` throws UnsupportedError with the same reason
  /// if and only if the answer is no.
  Support supports(const Problem& problem) const;

  /// What a run of this problem will use. Throws UnsupportedError where `supports` says no.
  Plan plan(const Problem& problem) const;

  /// Checks shapes and support, adds missing batch and head dimensions, runs `do_forward`, and
  /// checks the shape of what came back. Throws UnsupportedError where a declared tensor is missing
  /// or has another shape, and for a tensor that is not declared. Differentiable with respect to q,
  /// k, v and the variant's parameters.
  Outputs forward(const Inputs& inputs) const;

  /// The paper's formula in plain Torch operations, at the dtype of the inputs (float64 inputs give
  /// the reference that errors are measured against). `query_rows` (int64, sorted; undefined = all)
  /// selects rows, so that long sequences stay affordable. Returns `[batch, heads, rows,
  /// head_dim_v]`, differentiable. Uses nothing from kernels/.
  at::Tensor reference(const Inputs& inputs, const at::Tensor& query_rows = {}) const;

  /// The effective attention matrix `[batch, heads, rows, seqlen_k]` in the inputs' dtype, also for
  /// linear kinds: out = weights * v. Dense: for explanation on short inputs. Throws
  /// UnsupportedError where a variant has none.
  at::Tensor weights(const Inputs& inputs, const at::Tensor& query_rows = {}) const;

 protected:
  /// Beyond what every variant needs (ranks, dtypes, head counts that divide); default: yes.
  virtual Support do_supports(const Problem& problem) const;

  /// Called only for supported problems. Default: kernel "torch_ops", FLOPs of exact attention, no
  /// prediction of saved and workspace bytes (0). Declared tensors that are required are counted as
  /// inputs by `plan`.
  virtual Plan do_plan(const Problem& problem) const;

  /// All tensors have rank 4. Must be differentiable.
  virtual Outputs do_forward(const Inputs& inputs) const = 0;

  /// Default: `do_forward` in the inputs' dtype, then the rows are selected. A variant of its own
  /// kernel must override it with the formula.
  virtual at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const;

  /// Default: none (throws UnsupportedError).
  virtual at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const;
};

}  // namespace attnlab
