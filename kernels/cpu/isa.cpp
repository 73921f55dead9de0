#include "kernels/cpu/isa.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu {

namespace {

constexpr std::array kIsas = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};

Isa best_isa() {
  Isa best = Isa::kPortable;
  for (const Isa isa : kIsas) {
    if (isa_available(isa)) best = isa;
  }
  return best;
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
                    " is unknown; allowed: portable, avx2, avx512");
}

std::atomic<const KernelTable*> override_table{nullptr};

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
  }
  return "unknown";
}

const KernelTable& kernel_table(Isa isa) {
  switch (isa) {
    case Isa::kAvx2: return avx2::kernel_table();
    case Isa::kAvx512: return avx512::kernel_table();
    case Isa::kPortable: break;
  }
  return portable::kernel_table();
}

const KernelTable& current_kernels() {
  const KernelTable* table = override_table.load();
  return table != nullptr ? *table : kernel_table(current_isa());
}

void override_isa_for_testing(Isa isa) { override_table.store(&kernel_table(isa)); }

}  // namespace attnlab::cpu
