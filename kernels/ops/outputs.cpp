#include "kernels/ops/outputs.h"

#include <ATen/ops/empty.h>

#include "kernels/ops/tensors.h"

namespace attnlab::ops {

at::Tensor empty_out(const at::Tensor& q, const at::Tensor& v) {
  return at::empty_symint({q.sym_size(0), q.sym_size(1), q.sym_size(2), v.sym_size(3)},
                          q.options());
}

at::Tensor empty_lse(const at::Tensor& q) {
  return at::empty_symint({q.sym_size(0), q.sym_size(1), q.sym_size(2)},
                          q.options().dtype(accumulator_dtype(q.scalar_type())));
}

at::Tensor empty_weights(const at::Tensor& q, const at::Tensor& k) {
  return at::empty_symint({q.sym_size(0), q.sym_size(1), q.sym_size(2), k.sym_size(2)},
                          q.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> empty_gradients(const at::Tensor& q,
                                                               const at::Tensor& k,
                                                               const at::Tensor& v) {
  return {at::empty_symint(q.sym_sizes(), q.options()),
          at::empty_symint(k.sym_sizes(), k.options()),
          at::empty_symint(v.sym_sizes(), v.options())};
}

at::Tensor empty_grad_log_decay(const at::Tensor& q, const std::optional<at::Tensor>& log_decay) {
  const at::TensorOptions options = q.options().dtype(at::kFloat);
  if (!log_decay) return at::empty_symint({c10::SymInt(0)}, options);
  return at::empty_symint(log_decay->sym_sizes(), options);
}

}  // namespace attnlab::ops
