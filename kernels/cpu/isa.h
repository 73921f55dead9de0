// Which instruction set the CPU kernels use: one source, compiled per instruction set, chosen once.
#pragma once

namespace attnlab::cpu {

enum class Isa { kPortable, kAvx2, kAvx512 };

/// The best one that this machine has, or the lower one that the environment variable ATTNLAB_ISA
/// names (portable, avx2, avx512). Read once. Throws ConfigError for another name, and
/// UnsupportedError for one that the machine lacks.
Isa current_isa();

/// "portable", "avx2", "avx512".
const char* isa_name(Isa isa);

}  // namespace attnlab::cpu
