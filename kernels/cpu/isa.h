// Which instruction set the CPU kernels use: one source, compiled per instruction set, chosen once.
#pragma once

namespace attnlab::cpu {

/// Each includes the ones before. The last two differ from kAvx512 for bfloat16 only: products with
/// VDPBF16PS, and with AMX tiles.
enum class Isa { kPortable, kAvx2, kAvx512, kAvx512Bf16, kAvx512Amx };

/// The fastest one that this machine has, or the one that the environment variable ATTNLAB_ISA
/// names (portable, avx2, avx512, avx512_bf16, avx512_amx). Read once. Throws ConfigError for
/// another name, and UnsupportedError for one that the machine lacks.
Isa current_isa();

/// "portable", "avx2", "avx512", "avx512_bf16", "avx512_amx".
const char* isa_name(Isa isa);

}  // namespace attnlab::cpu
