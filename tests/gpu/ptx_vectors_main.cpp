// Writes what the wrappers of kernels/cuda/ptx.h compute on the GPU of this machine.
//   ptx_vectors FILE.json [REFERENCE.json]
// With a reference (of another GPU, say) it also compares. Exit code 1: no GPU, or a difference.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <exception>
#include <string>

#include "tests/gpu/ptx_vectors.h"
#include "tests/support/device_memory.h"

namespace attnlab::testing {
namespace {

std::string device_name() {
  cudaDeviceProp properties{};
  const cudaError_t error = cudaGetDeviceProperties(&properties, 0);
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
  return properties.name;
}

int compare(const std::vector<PtxVector>& expected, const std::vector<PtxVector>& found) {
  int differences = 0;
  for (std::size_t i = 0; i < expected.size() || i < found.size(); ++i) {
    const std::string text = i < expected.size() && i < found.size()
                                 ? difference(expected[i], found[i])
                                 : "the files have different vectors";
    if (text.empty()) continue;
    std::printf("%s\n", text.c_str());
    ++differences;
  }
  return differences;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    std::fprintf(stderr, "usage: ptx_vectors FILE.json [REFERENCE.json]\n");
    return 2;
  }
  const std::string device = device_name();
  const auto vectors = collect_ptx_vectors(device::model().compute_capability);
  write_ptx_vectors(arguments[0], device, vectors);
  std::printf("%zu vectors of %s written to %s\n", vectors.size(), device.c_str(),
              arguments[0].c_str());
  if (arguments.size() < 2) return 0;
  return compare(read_ptx_vectors(arguments[1]), vectors) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace attnlab::testing

int main(int argc, char** argv) {
  try {
    return attnlab::testing::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ptx_vectors: %s\n", error.what());
    return 1;
  }
}
