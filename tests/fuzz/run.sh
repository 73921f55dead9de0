#!/usr/bin/env bash
# Builds the fuzz targets with clang++ and lets each run for a while, several at once.
#   run.sh CMAKE NINJA [TARGET...] [--seconds N]
# New inputs of interest go to build-fuzz/corpus/TARGET and are used again next time; findings to
# build-fuzz/findings. Exit code 1 where there is a finding.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$source_dir/../.." && pwd)
build=$root/build-fuzz
all="yaml override interpolation compose journal csv"
cmake=$1
ninja=$2
shift 2

targets=()
seconds=60
while [ $# -gt 0 ]; do
  case $1 in
    --seconds)
      seconds=${2:-}
      [[ $seconds =~ ^[1-9][0-9]*$ ]] ||
        { echo "attnlab: --seconds takes a whole number from 1, not '$seconds'" >&2; exit 2; }
      shift 2 ;;
    -h | --help)
      echo "Usage: ./attnlab fuzz [TARGET...] [--seconds N]   (default: all for 60 s each)"
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
if ! { "$cmake" -S "$source_dir" -B "$build" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" \
         -DCMAKE_CXX_COMPILER=clang++ && "$ninja" -C "$build"; } >"$build/build.log" 2>&1; then
  tail -n 30 "$build/build.log" >&2
  echo "attnlab: the fuzz targets do not build; all of it is in $build/build.log" >&2
  exit 1
fi

# shellcheck disable=SC2317  # called by xargs below
fuzz_one() {
  local target=$1
  mkdir -p "$build/corpus/$target"
  # A finding ends a target; its log and the input stay.
  "$build/bin/${target}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
    -dict="$source_dir/dictionaries/$target.dict" -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" \
    "$build/corpus/$target" "$source_dir/corpus/$target" >"$build/$target.log" 2>&1 ||
    touch "$build/$target.failed"
}
export -f fuzz_one
export build source_dir seconds

for target in "${targets[@]}"; do rm -f "$build/$target.failed"; done
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one {}'

status=0
printf '%-14s %12s %10s %8s  %s\n' target executions coverage corpus result
for target in "${targets[@]}"; do
  log=$build/$target.log
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  last=$(grep -E '^#[0-9]+' "$log" | tail -n 1 || true)
  coverage=$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' <<<"$last")
  corpus=$(sed -n 's/.*corp: \([0-9]*\).*/\1/p' <<<"$last")
  result=ok
  if [ -f "$build/$target.failed" ]; then
    status=1
    result="FAILED, see ${log#"$root"/}"
  fi
  printf '%-14s %12s %10s %8s  %s\n' "$target" "${executions:--}" "${coverage:--}" "${corpus:--}" "$result"
done
if [ $status -ne 0 ]; then
  echo "Inputs that failed are in build-fuzz/findings; run one again with:" \
       "build-fuzz/bin/TARGET_fuzz build-fuzz/findings/FILE" >&2
fi
exit $status
