#!/usr/bin/env bash
# Builds the fuzz targets with clang++ and lets each run for a while, several at once.
#   run.sh CMAKE NINJA [TARGET...] [--seconds N] [--seed N]
# New inputs of interest go to build-fuzz/corpus/TARGET and are used again next time; findings to
# build-fuzz/findings. Exit code 1 where there is a finding.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$source_dir/../.." && pwd)
build=$root/build-fuzz
all="yaml override interpolation compose schema journal csv"
cmake=$1
ninja=$2
shift 2

targets=()
seconds=60
seed=0 # of libFuzzer: another search each time
while [ $# -gt 0 ]; do
  case $1 in
    --seconds)
      seconds=${2:-}
      [[ $seconds =~ ^[1-9][0-9]{0,8}$ ]] ||
        { echo "attnlab: --seconds takes a whole number from 1, not '$seconds'" >&2; exit 2; }
      shift 2 ;;
    --seed)
      seed=${2:-}
      [[ $seed =~ ^[1-9][0-9]{0,8}$ ]] ||
        { echo "attnlab: --seed takes a whole number from 1, not '$seed'" >&2; exit 2; }
      shift 2 ;;
    -h | --help)
      echo "Usage: ./attnlab fuzz [TARGET...] [--seconds N] [--seed N]"
      echo "Default: all targets for 60 s each; a seed repeats a search on an empty build-fuzz/corpus"
      echo "Targets: $all"
      exit 0 ;;
    *)
      [[ " $all " == *" $1 "* ]] ||
        { echo "attnlab: there is no fuzz target '$1'. Known: $all" >&2; exit 2; }
      targets+=("$1")
      shift ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || read -ra targets <<<"$all"

mkdir -p "$build/findings"
exec 8>"$build/.lock"
flock -n 8 || { echo "attnlab: another ./attnlab fuzz is running here" >&2; exit 2; }
if ! { (cd "$source_dir" && "$cmake" --preset fuzz -DCMAKE_MAKE_PROGRAM="$ninja") &&
       "$ninja" -C "$build"; } >"$build/build.log" 2>&1; then
  tail -n 30 "$build/build.log" >&2
  echo "attnlab: the fuzz targets do not build; all of it is in $build/build.log" >&2
  exit 1
fi

# An input may take 5 s and 512 MiB. A finding ends a target; its log and the input stay.
# shellcheck disable=SC2317  # called by xargs below
fuzz_one() {
  local target=$1
  mkdir -p "$build/corpus/$target"
  "$build/bin/${target}_fuzz" -seed="$seed" -max_total_time="$seconds" -timeout=5 \
    -malloc_limit_mb=512 -rss_limit_mb=4096 -max_len=4096 -print_final_stats=1 \
    -dict="$source_dir/dictionaries/$target.dict" -artifact_prefix="$build/findings/$target-" \
    "$build/corpus/$target" "$source_dir/corpus/$target" >"$build/$target.log" 2>&1 ||
    touch "$build/$target.failed"
}
export -f fuzz_one
export build source_dir seconds seed

# A fuzzer that finds nothing anywhere would pass: it has to find a fault that is there.
if "$build/bin/planted_fuzz" -seed=1 -max_total_time=60 -artifact_prefix="$build/planted-" \
     >"$build/planted.log" 2>&1 || ! grep -q "heap-buffer-overflow" "$build/planted.log"; then
  echo "attnlab: the fuzzer did not find a planted fault, so that it would find no other:" \
       "build-fuzz/planted.log" >&2
  exit 1
fi

for target in "${targets[@]}"; do rm -f "$build/$target.failed"; done
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one {}'

status=0
printf '%-14s %12s %10s %8s  %s\n' target executions coverage corpus result
for target in "${targets[@]}"; do
  log=$build/$target.log
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  last=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -n 1 || true)
  coverage=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$last")
  corpus=$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' <<<"$last")
  result=ok
  [ -f "$build/$target.failed" ] && result="FAILED, see ${log#"$root"/}"
  printf '%-14s %12s %10s %8s  %s\n' "$target" "${executions:--}" "${coverage:--}" "${corpus:--}" \
    "$result"
done
for target in "${targets[@]}"; do
  [ -f "$build/$target.failed" ] || continue
  status=1
  input=$(sed -n 's/.*Test unit written to //p' "$build/$target.log" | tail -n 1)
  if [ -n "$input" ]; then
    echo "attnlab: to see it again: build-fuzz/bin/${target}_fuzz ${input#"$root"/}" >&2
  else
    tail -n 5 "$build/$target.log" >&2
  fi
done
exit $status
