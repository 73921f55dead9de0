// Clocks and the reasons for low ones from NVML, the library behind nvidia-smi.
#pragma once

#include <string>

#include "kernels/ops/device.h"

namespace attnlab::ops {

/// `pci_bus_id` as cudaDeviceGetPCIBusId gives it. `known` is false where NVML or the device cannot
/// be had; never throws. NVML stays loaded.
DeviceClocks read_clocks(const std::string& pci_bus_id);

}  // namespace attnlab::ops
