#include "kernels/ops/cuda_clocks.h"

#include <dlfcn.h>

#include <utility>

namespace attnlab::ops {
namespace {

// NVML's C interface, as documented in the NVML API reference: every function returns 0 for
// success. Declared here, so that the build needs no header of the driver.
using NvmlDevice = void*;
constexpr unsigned kClockSm = 1;
constexpr unsigned kClockMemory = 2;
constexpr unsigned kTemperatureGpu = 0;

// nvmlClocksEventReason*, without idle (1), application clocks (2) and sync boost (16), which say
// nothing about the device being held back by heat or power.
constexpr std::pair<unsigned long long, const char*> kReasons[] = {
    {0x04, "software power cap"},        {0x08, "hardware slowdown"},
    {0x20, "software thermal slowdown"}, {0x40, "hardware thermal slowdown"},
    {0x80, "hardware power brake"},
};

struct Nvml {
  int (*init)() = nullptr;
  int (*find)(const char*, NvmlDevice*) = nullptr;
  int (*clock)(NvmlDevice, unsigned, unsigned*) = nullptr;
  int (*max_clock)(NvmlDevice, unsigned, unsigned*) = nullptr;
  int (*reasons)(NvmlDevice, unsigned long long*) = nullptr;
  int (*power)(NvmlDevice, unsigned*) = nullptr;
  int (*temperature)(NvmlDevice, unsigned, unsigned*) = nullptr;
  bool ready = false;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

Nvml load() {
  Nvml nvml;
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nvml;
  const bool found = find(library, "nvmlInit_v2", nvml.init) &&
                     find(library, "nvmlDeviceGetHandleByPciBusId_v2", nvml.find) &&
                     find(library, "nvmlDeviceGetClockInfo", nvml.clock) &&
                     find(library, "nvmlDeviceGetMaxClockInfo", nvml.max_clock) &&
                     find(library, "nvmlDeviceGetPowerUsage", nvml.power) &&
                     find(library, "nvmlDeviceGetTemperature", nvml.temperature) &&
                     (find(library, "nvmlDeviceGetCurrentClocksEventReasons", nvml.reasons) ||
                      find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", nvml.reasons));
  nvml.ready = found && nvml.init() == 0;
  return nvml;
}

}  // namespace

DeviceClocks read_clocks(const std::string& pci_bus_id) {
  static const Nvml nvml = load();
  DeviceClocks clocks;
  NvmlDevice device = nullptr;
  if (!nvml.ready || nvml.find(pci_bus_id.c_str(), &device) != 0) return clocks;
  const auto number = [](int error, unsigned value) {
    return error == 0 ? static_cast<int>(value) : 0;
  };
  unsigned value = 0;
  clocks.known = true;
  int error = nvml.clock(device, kClockSm, &value);
  clocks.sm_mhz = number(error, value);
  error = nvml.max_clock(device, kClockSm, &value);
  clocks.sm_max_mhz = number(error, value);
  error = nvml.clock(device, kClockMemory, &value);
  clocks.memory_mhz = number(error, value);
  error = nvml.power(device, &value);  // milliwatts
  clocks.power_w = number(error, value) / 1000;
  error = nvml.temperature(device, kTemperatureGpu, &value);
  clocks.temperature_c = number(error, value);
  unsigned long long bits = 0;
  if (nvml.reasons(device, &bits) == 0) {
    for (const auto& [bit, name] : kReasons) {
      if ((bits & bit) != 0) clocks.throttle_reasons.emplace_back(name);
    }
  }
  return clocks;
}

}  // namespace attnlab::ops
