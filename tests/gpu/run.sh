#!/usr/bin/env bash
# Everything that needs a GPU, one summary line per step: name, pass/FAIL/not run, counts, seconds.
#
#   tests/gpu/run.sh [--out DIR] [--only STEP,STEP] [--quick] [--dry-run] [--list]
#
# Works in a source tree that ./attnlab has built and in a bundle (tests/gpu/make_bundle.sh). Python: the one of
# ATTNLAB_PYTHON, .venv or PATH that imports torch. Logs and tables go to DIR (gpu-results). Exit code: 0
# if every step passed, 1 if one failed, 2 if none could run. A step that cannot run says why and never counts as passed.
set -uo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=$(cd "$here/../.." && pwd)
out=gpu-results
only=
quick=no
dry_run=no
steps=(devices kernels wrappers check operators determinism sanitizer memory quickstart training bench)

while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?--out needs a folder}; shift ;;
    --only) only=${2:?--only needs names of steps}; shift ;;
    --quick) quick=yes ;;
    --dry-run) dry_run=yes ;;
    --list) printf '%s\n' "${steps[@]}"; exit 0 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "run.sh: unknown word '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
for name in ${only//,/ }; do
  if ! printf '%s\n' "${steps[@]}" | grep -qx "$name"; then
    echo "run.sh: there is no step '$name'; steps: ${steps[*]}" >&2
    exit 2
  fi
done

# A bundle has bin/ and lib/ at its root, a source tree has them in build/.
built=$root/build
[ -x "$root/bin/attnlab" ] && built=$root
program=$built/bin/attnlab
export ATTNLAB_ROOT=$root ATTNLAB_LIBRARY=$built/lib/libattnlab.so PYTHONPATH=$here

find_python() {
  local python
  for python in "${ATTNLAB_PYTHON:-}" "$root/.venv/bin/python" python3 python; do
    if [ -n "$python" ] && "$python" -c 'import torch' >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
}
python=$(find_python)
if [ -n "$python" ]; then
  # LibTorch and the NVIDIA libraries of its wheels; a bundle has no other way to find them.
  libraries=$("$python" -c '
import glob, os, torch
site = os.path.dirname(os.path.dirname(torch.__file__))
print(":".join([os.path.join(site, "torch", "lib")] + sorted(
    glob.glob(os.path.join(site, "nvidia", "*", "lib")))))')
  export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

# What a step that cannot run returns, with the reason as its last line of output.
readonly not_run=77

need_python() {
  [ -n "$python" ] && return
  echo "no Python here imports torch (set ATTNLAB_PYTHON)"
  return $not_run
}

# In a dry run commands are printed instead.
run() {
  if [ $dry_run = yes ]; then
    printf '   '
    printf ' %q' "$@"
    echo
  else
    "$@"
  fi
}

step_devices() {
  run "$program" list devices
  [ $dry_run = yes ] || ! "$program" list devices | grep -q '^cuda .*not available'
}

# The kernel tests of tests/kernels/cuda, compiled for the device.
step_kernels() {
  local tests=("$built"/bin/*_device_tests) test failed=0
  if [ ! -e "${tests[0]}" ]; then
    echo "there are no $built/bin/*_device_tests (build the target device_tests)"
    return $not_run
  fi
  for test in "${tests[@]}"; do run "$test" --gtest_brief=1 || failed=1; done
  return $failed
}

# What every wrapper of kernels/cuda/ptx.h computes on this device.
step_wrappers() {
  if [ ! -x "$built/bin/ptx_vectors" ]; then
    echo "there is no $built/bin/ptx_vectors (build the target ptx_vectors)"
    return $not_run
  fi
  run "$built/bin/ptx_vectors" "$out/ptx_vectors.json"
}

# The properties that every variant must have. torch_sdpa is PyTorch's: reported, not required.
step_check() {
  local variant failed=0
  for variant in full flash sliding_window linear; do
    run "$program" check "$variant" --device cuda || failed=1
  done
  run "$program" check torch_sdpa --device cuda || echo "(torch_sdpa is PyTorch's: not counted)"
  return $failed
}

step_operators() {
  need_python || return
  run env ATTNLAB_DEVICE=cuda "$python" "$root/tests/python/test_operators.py"
}

step_determinism() {
  local repeats=100
  [ $quick = yes ] && repeats=5
  need_python || return
  run "$python" "$here/determinism.py" --repeats $repeats
}

# Every family once at small sizes under each tool.
step_sanitizer() {
  local tool failed=0
  if ! command -v compute-sanitizer >/dev/null; then
    echo "compute-sanitizer is not on PATH (it comes with the CUDA toolkit)"
    return $not_run
  fi
  for tool in memcheck racecheck synccheck; do
    run compute-sanitizer --tool $tool --error-exitcode 1 \
      "$program" run variant=flash,sliding_window,linear,full shape.seqlen=130 causal=true \
      dtype=bfloat16,float32 direction=forward_backward device=cuda measure=quick \
      measure.l2_flush=false run.dir="$out/sanitizer_$tool" || failed=1
  done
  return $failed
}

step_memory() {
  local lengths=4096,16384,65536,131072
  [ $quick = yes ] && lengths=4096,16384
  # Rows that are not ok are judged below.
  run "$program" run variant=flash,sliding_window,linear shape.seqlen=$lengths causal=true \
    dtype=bfloat16 direction=forward,forward_backward device=cuda measure=quick \
    run.dir="$out/memory" || [ $? -eq 3 ] || return 1
  need_python || return
  run "$python" "$here/check_memory.py" "$out/memory/results.csv"
}

step_quickstart() {
  run "$program" run experiment=quickstart device=cuda run.dir="$out/quickstart"
}

# Learns in both precisions: weights on the device, autocast, peak memory, checkpoints, causality.
step_training() {
  run "$program" run experiment=mqar_smoke dtype=float32,bfloat16 device=cuda run.dir="$out/training"
}

step_bench() {
  local words=(--csv "$out/peers.csv")
  [ $quick = yes ] && words+=(--quick)
  need_python || return
  run "$python" "$here/bench_peers.py" "${words[@]}"
}

# The line of a log that says how many: of GoogleTest, unittest, or our own scripts.
counts_of() {
  grep -hE '^\[  (PASSED|FAILED)  \]|^Ran [0-9]+ tests|[0-9]+ of [0-9]+ |[0-9]+ rows in |holds all|breaks [0-9]' "$1" 2>/dev/null |
    tail -n 5 | paste -sd';' | cut -c1-160
}

if [ ! -x "$program" ] && [ $dry_run = no ]; then
  echo "run.sh: $program does not exist; build first: ./attnlab build attnlab_cli attnlab_cuda" >&2
  exit 2
fi
if [ $dry_run = no ]; then
  rm -rf "${out:?}/logs" "$out/sanitizer_"* "$out/memory" "$out/quickstart" "$out/training"
  mkdir -p "$out/logs" || exit 2
  out=$(cd "$out" && pwd)
  if ! reason=$("$program" list devices | grep '^cuda'); then reason="the program does not start"; fi
  echo "$reason"
  case $reason in
    cuda*"not available"* | the*) echo "run.sh: no step can run without a GPU" >&2; exit 2 ;;
  esac
  { date -u; nvidia-smi 2>&1; } >"$out/machine.txt"
fi

passed=0 failed=0 skipped=0
for name in "${steps[@]}"; do
  [ -n "$only" ] && [[ ",$only," != *",$name,"* ]] && continue
  started=$SECONDS
  if [ $dry_run = yes ]; then
    echo "$name"
    "step_$name" || true
    continue
  fi
  log=$out/logs/$name.log
  "step_$name" >"$log" 2>&1
  code=$?
  case $code in
    0) verdict=pass; passed=$((passed + 1)); note=$(counts_of "$log") ;;
    "$not_run") verdict="not run"; skipped=$((skipped + 1)); note=$(tail -n 1 "$log") ;;
    *) verdict=FAIL; failed=$((failed + 1)); note="$(counts_of "$log") (log: $log)" ;;
  esac
  printf '%-12s %-8s %5d s  %s\n' "$name" "$verdict" $((SECONDS - started)) "$note"
done
[ $dry_run = yes ] && exit 0
echo "$passed passed, $failed failed, $skipped not run; everything is in $out"
[ $failed -eq 0 ] || exit 1
[ $passed -gt 0 ] || exit 2
