#include "experiments/models/autocast.h"

#include <ATen/autocast_mode.h>

namespace attnlab {

Autocast::Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype) : device_(device) {
  if (dtype) start(true, *dtype);
}

Autocast::Autocast(c10::DeviceType device, bool enabled, c10::ScalarType dtype) : device_(device) {
  start(enabled, dtype);
}

Autocast Autocast::off(c10::DeviceType device) {
  return {device, false, at::autocast::get_autocast_dtype(device)};
}

void Autocast::start(bool enabled, c10::ScalarType dtype) {
  before_ =
      State{at::autocast::is_autocast_enabled(device_), at::autocast::get_autocast_dtype(device_)};
  at::autocast::set_autocast_dtype(device_, dtype);
  at::autocast::set_autocast_enabled(device_, enabled);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!before_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, before_->enabled);
  at::autocast::set_autocast_dtype(device_, before_->dtype);
}

}  // namespace attnlab
