#include "variants/api/support.h"

#include <fmt/format.h>

#include "kernels/cpu/flash_attention.h"
#include "kernels/ops/device.h"

namespace attnlab {

Support operator_support(const Problem& p) {
  if (p.device == at::kCUDA) {
    if (const std::string reason = ops::why_no_cuda(); !reason.empty()) return Support::no(reason);
  } else if (p.device != at::kCPU) {
    return Support::no(fmt::format("there is no kernel for device {}; allowed: cpu, cuda",
                                   c10::DeviceTypeName(p.device, /*lower_case=*/true)));
  }
  for (const auto& [size, name] :
       {std::pair{p.head_dim, "head_dim"}, {p.head_dim_v, "head_dim_v"}}) {
    if (size > cpu::kMaxHeadDim) {
      return Support::no(
          fmt::format("{} is {}; the kernels take 1 to {}", name, size, cpu::kMaxHeadDim));
    }
  }
  if (p.direction == Direction::kDecode || p.direction == Direction::kTrain) {
    return Support::no(
        fmt::format("direction {} is not built yet; allowed: forward, backward, forward_backward",
                    direction_name(p.direction)));
  }
  return Support::yes();
}

}  // namespace attnlab
