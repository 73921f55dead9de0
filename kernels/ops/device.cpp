// Loads the CUDA half on demand. The driver is asked first, because that costs nothing and is what
// most machines without a GPU lack; LibTorch's CUDA libraries take a gigabyte of address space.

#include "kernels/ops/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <mutex>

#include "kernels/core/error.h"
#include "kernels/cuda/device_model.h"

namespace attnlab::ops {
namespace {

constexpr const char* kLibrary = "libattnlab_cuda.so";

[[noreturn]] void refuse(const std::string& why) {
  throw DeviceError(
      fmt::format("[device] device=cuda cannot be used: {}, or use device=cpu.", why));
}

/// The folder of libattnlab.so, from the address of something in it.
std::filesystem::path own_folder() {
  static const char anchor = 0;
  Dl_info info = {};
  if (dladdr(&anchor, &info) == 0 || info.dli_fname == nullptr) return {};
  return std::filesystem::weakly_canonical(info.dli_fname).parent_path();
}

/// Nothing of LibTorch: only whether a driver and a GPU are there.
void check_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) {
    refuse(
        "there is no NVIDIA driver (libcuda.so.1 cannot be loaded). Install the driver; in a "
        "container start it with access to the GPU");
  }
  using Init = int (*)(unsigned);
  using Count = int (*)(int*);
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto count_devices = reinterpret_cast<Count>(dlsym(driver, "cuDeviceGetCount"));
  if (init == nullptr || count_devices == nullptr) {
    refuse("libcuda.so.1 is not NVIDIA's driver (cuInit is missing). Install the driver");
  }
  int count = 0;
  if (const int error = init(0); error != 0) {
    refuse(fmt::format("the NVIDIA driver does not start (cuInit returns {}). Look at nvidia-smi",
                       error));
  }
  if (const int error = count_devices(&count); error != 0 || count == 0) {
    refuse(
        fmt::format("the NVIDIA driver sees no GPU (cuDeviceGetCount returns {}, {} devices). "
                    "Look at nvidia-smi and CUDA_VISIBLE_DEVICES",
                    error, count));
  }
}

/// The handle is never closed: operators stay registered.
void* load(const std::string& file, const std::string& what_to_do) {
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) refuse(fmt::format("{}. {}", dlerror(), what_to_do));
  return handle;
}

Device* load_device() {
  const std::filesystem::path library = own_folder() / kLibrary;
  if (std::error_code ignored; !std::filesystem::exists(library, ignored)) {
    refuse(
        fmt::format("this build has no CUDA backend ({} does not exist). Build where nvcc is "
                    "found (put it on PATH or set CUDACXX)",
                    library.string()));
  }
  check_driver();
  load("libtorch_cuda.so",
       "Install LibTorch with its CUDA libraries (pip install torch==2.11.0, with dependencies)");
  void* handle = load(library.string(), "Build again");
  const auto entry = reinterpret_cast<Device* (*)()>(dlsym(handle, kCudaDeviceEntry));
  if (entry == nullptr) refuse(fmt::format("{} is of another version. Build again", kLibrary));
  Device* device = nullptr;
  try {
    device = entry();
  } catch (const std::exception& error) {
    const std::string message = error.what();
    refuse(fmt::format("LibTorch does not start on the GPU: {}. Look at nvidia-smi",
                       message.substr(0, message.find('\n'))));
  }
  const DeviceInfo info = device->info();
  if (!cuda::is_supported(info.compute_capability)) {
    refuse(
        fmt::format("{} has compute capability {}.{}; the kernels are built for {}. Choose another "
                    "GPU with CUDA_VISIBLE_DEVICES",
                    info.name, info.compute_capability / 10, info.compute_capability % 10,
                    cuda::kSupportedDevices));
  }
  return device;
}

struct State {
  std::mutex mutex;
  bool tried = false;
  Device* device = nullptr;
  std::string reason;
};

State& state() {
  static State state;
  return state;
}

}  // namespace

std::string why_no_cuda() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.tried) {
    s.tried = true;
    try {
      s.device = load_device();
    } catch (const std::exception& error) {
      const std::string message = error.what();
      s.reason = message.substr(0, message.find('\n'));
    }
  }
  return s.reason;
}

Device& cuda_device() {
  if (const std::string reason = why_no_cuda(); !reason.empty()) throw DeviceError(reason);
  return *state().device;
}

Device* loaded_cuda_device() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.device;
}

}  // namespace attnlab::ops
