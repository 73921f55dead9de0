#!/usr/bin/env bash
# isa_symbols.sh NM ISA OBJECT...: fails if an object defines a weak symbol outside of the namespace of
# its instruction set. The linker keeps one copy of such a symbol, perhaps this one, for all machines.
set -euo pipefail
nm=$1
isa=$2
shift 2
[[ $# -gt 0 ]] || { echo "isa_symbols: no object files given" >&2; exit 1; }
found=$("$nm" --demangle --defined-only "$@" | grep -E ' [WVu] ' | grep -v "attnlab::cpu::$isa::" || true)
if [[ -n $found ]]; then
  echo "shared functions compiled for $isa:" >&2
  echo "$found" >&2
  exit 1
fi
