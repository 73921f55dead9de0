// What every wrapper of kernels/cuda/ptx.h computes on fixed inputs. On a GPU, ptx_vectors writes
// it to a file; the host execution model is compared with such a file from a GPU
// (ptx_vectors_test), so that the emulator and the kernels cannot share a misunderstanding of the
// hardware.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace attnlab::testing {

/// How the outputs of two machines have to agree.
enum class Agreement {
  kExact,
  kHalves,   ///< pairs of 16-bit floats; any NaN for a NaN
  kTwoUlps,  ///< float32 within 2 units in the last place; any NaN for a NaN
  kSums,     ///< float32 sums of 16 products of numbers up to 1
};

struct PtxVector {
  std::string name;
  Agreement agreement = Agreement::kExact;
  std::vector<std::uint32_t> inputs;
  std::vector<std::uint32_t> outputs;
};

/// Runs a kernel per wrapper; those of sm_90a only where the compute capability (10 * major +
/// minor) is 90. Inputs depend on nothing else.
std::vector<PtxVector> collect_ptx_vectors(int compute_capability);

/// JSON: {"device", "vectors": [{"name", "inputs", "outputs"}]}, words as 8 hexadecimal digits.
void write_ptx_vectors(const std::filesystem::path& path, const std::string& device,
                       const std::vector<PtxVector>& vectors);
/// Agreements are not in the file: kExact. Throws std::runtime_error where it cannot be read.
std::vector<PtxVector> read_ptx_vectors(const std::filesystem::path& path);

/// Empty where `found` agrees with `expected`, by the agreement of `found`.
std::string difference(const PtxVector& expected, const PtxVector& found);

}  // namespace attnlab::testing
