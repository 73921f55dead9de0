#include "kernels/cpu/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu {

namespace {

constexpr std::array kIsas = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16,
                              Isa::kAvx512Amx};

Isa best_isa() {
  Isa best = Isa::kPortable;
  for (const Isa isa : available_isas()) {
    // Intel's cores run VDPBF16PS at half the rate of FMA (measured on one with AMX: 100 GFLOP/s
    // against 200 for FMA): widening to float32 is faster there, and AMX faster than both.
    if (isa == Isa::kAvx512Bf16 && __builtin_cpu_is("intel") != 0) continue;
    best = isa;
  }
  return best;
}

/// The kernel saves the tile registers of a process only after it has asked for them.
bool amx_permitted() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
#else
  return false;
#endif
}

bool cpu_has_amx_bf16() {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned int kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  return (edx & kAmxBf16) != 0 && (edx & kAmxTile) != 0;
}

Isa chosen_isa() {
  const char* name = std::getenv("ATTNLAB_ISA");
  if (name == nullptr || *name == '\0') return best_isa();
  for (const Isa isa : kIsas) {
    if (std::string_view(name) != isa_name(isa)) continue;
    if (isa_available(isa)) return isa;
    throw UnsupportedError(std::string("[isa] ATTNLAB_ISA=") + name +
                           " is not available on this machine, whose best is " +
                           isa_name(best_isa()) + "; unset ATTNLAB_ISA or name a lower one");
  }
  throw ConfigError(std::string("[isa] ATTNLAB_ISA=") + name +
                    " is unknown; allowed: portable, avx2, avx512, avx512_bf16, avx512_amx");
}

std::atomic<Isa> override_isa{};
std::atomic<bool> is_overridden{false};

}  // namespace

bool isa_available(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
             __builtin_cpu_supports("f16c") != 0;
    case Isa::kAvx512:
      return isa_available(Isa::kAvx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0;
    case Isa::kAvx512Bf16:
      return isa_available(Isa::kAvx512) && __builtin_cpu_supports("avx512bf16") != 0;
    case Isa::kAvx512Amx:
      return isa_available(Isa::kAvx512Bf16) && cpu_has_amx_bf16() && amx_permitted();
  }
  return false;
}

Isa current_isa() {
  static const Isa isa = chosen_isa();
  return isa;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return "portable";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx512Bf16: return "avx512_bf16";
    case Isa::kAvx512Amx: return "avx512_amx";
  }
  return "unknown";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kIsas) {
    if (isa_available(isa)) isas.push_back(isa);
  }
  return isas;
}

const KernelTable& kernel_table(Isa isa, DType dtype) {
  if (dtype == DType::kBFloat16) {
    if (isa == Isa::kAvx512Bf16) return avx512_bf16::bfloat16_kernel_table();
    if (isa == Isa::kAvx512Amx) return avx512_amx::bfloat16_kernel_table();
  }
  switch (isa) {
    case Isa::kPortable: return portable::kernel_table();
    case Isa::kAvx2: return avx2::kernel_table();
    default: return avx512::kernel_table();
  }
}

const KernelTable& current_kernels(DType dtype) {
  return kernel_table(is_overridden ? override_isa.load() : current_isa(), dtype);
}

void override_isa_for_testing(Isa isa) {
  override_isa = isa;
  is_overridden = true;
}

}  // namespace attnlab::cpu
