#include "experiments/models/autocast.h"

#include <ATen/autocast_mode.h>

namespace attnlab {

Autocast::Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype) : device_(device) {
  if (!dtype) return;
  before_ =
      State{at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)};
  at::autocast::set_autocast_dtype(device, *dtype);
  at::autocast::set_autocast_enabled(device, true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!before_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, before_->enabled);
  at::autocast::set_autocast_dtype(device_, before_->dtype);
}

}  // namespace attnlab
