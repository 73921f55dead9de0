// Mixed precision as torch.autocast has it: weights stay as they are, and matrix products, linear
// layers and attention get casts of them and of their inputs.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <optional>

namespace attnlab {

/// While it lives, this thread's operations on `device` follow PyTorch's autocast lists with
/// `dtype` in place of float32; without a dtype it does nothing. May be nested. As with
/// torch.autocast, the casts of weights are kept until the outermost one ends, so that a weight is
/// cast once; the backward pass belongs outside of it and has the types of the forward pass.
/// float64 is never cast.
class Autocast {
 public:
  Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype);
  /// Off while it lives: a variant computes in a model as it does where it is measured. (PyTorch's
  /// lists would turn some of its operations into float32, on CUDA others than on the CPU.)
  static Autocast off(c10::DeviceType device);
  ~Autocast();
  Autocast(const Autocast &) = delete;
  Autocast &operator=(const Autocast &) = delete;

 private:
  Autocast(c10::DeviceType device, bool enabled, c10::ScalarType dtype);
  void start(bool enabled, c10::ScalarType dtype);

  struct State {
    bool enabled;
    c10::ScalarType dtype;
  };
  c10::DeviceType device_;
  std::optional<State> before_;  ///< nothing: it did nothing
};

}  // namespace attnlab
