#!/usr/bin/env bash
# Every header of the project compiles alone, with warnings as errors.
#   headers_compile_alone.sh SOURCE_DIR COMPILER [FLAG...]
set -uo pipefail
cd "$1" || exit 1
compiler=$2
flags=("${@:3}")
export compiler

check() {
  local header=$1
  shift
  # Written in the intrinsics of the instruction sets that they are for.
  [[ $header == kernels/cpu/pairs/* ]] &&
    set -- "$@" -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16
  # Device code, as the host execution model of the tests compiles it.
  [[ $header == kernels/cuda/* || $header == tests/hostexec/* ]] &&
    set -- "$@" -DATTNLAB_HOSTEXEC -Itests -Wno-unknown-pragmas
  printf '#include "%s"\n' "$header" |
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wno-psabi -Werror -I. "$@" -x c++ - ||
    { echo "does not compile alone: $header"; return 1; }
}
export -f check

# Left out: what only nvcc can compile (wrappers of instructions, the launch on a device), what needs
# the CUDA runtime's headers, and headers that need the macros of an instruction set.
headers=$(find kernels variants experiments analysis tests/support tests/hostexec \
          \( -name '*.h' -o -name '*.cuh' \) ! -path 'kernels/cuda/ptx/*' ! -path 'kernels/ops/cuda_*' \
          ! -name launch_device.h ! -name 'simd*.h' 2>/dev/null | sort)
[ -n "$headers" ] || { echo "no headers found"; exit 1; }
echo "$headers" | xargs -P "$(nproc)" -I{} bash -c 'check "$@"' _ {} "${flags[@]}" || exit 1
echo "$(echo "$headers" | wc -l) headers compile alone"
