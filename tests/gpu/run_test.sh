#!/usr/bin/env bash
# Tests run.sh as far as it goes without a GPU: its words, the dry run, and that it fails clearly, with exit code 2
# and no step called passed, where there is no GPU.
#   run_test.sh SOURCE_DIR PROGRAM
set -uo pipefail
source_dir=$1
program=$2
script=$source_dir/tests/gpu/run.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect CODE PATTERN NAME: the last run ended so and said so.
expect() {
  if [ "$code" -ne "$1" ] || ! grep -qE -- "$2" <<<"$said"; then
    echo "FAIL $3: exit code $code (expected $1), expected to read /$2/ in:"
    echo "$said"
    failures=$((failures + 1))
  fi
}
run() {
  said=$("$@" 2>&1)
  code=$?
}

run "$script" --list
expect 0 '^bench$' "steps are listed"
steps=$said
run "$script" --only nonsense
expect 2 "no step 'nonsense'; steps: devices" "an unknown step is refused"
run "$script" --nonsense
expect 2 "unknown word '--nonsense'" "an unknown word is refused"
run "$script" --dry-run --out "$scratch/none"
for step in $steps; do expect 0 "^$step\$" "the dry run names $step"; done
expect 0 'check flash --device cuda' "the dry run shows the commands"
[ ! -e "$scratch/none" ] || { echo "FAIL: the dry run wrote something"; failures=$((failures + 1)); }

run env ATTNLAB_ROOT="$source_dir" "$program" list devices
expect 0 '^cuda ' "the program lists its devices"
if grep -q '^cuda .*not available' <<<"$said"; then
  tree=$scratch/bundle
  mkdir -p "$tree/bin" "$tree/lib" "$tree/tests/gpu"
  cp "$script" "$tree/tests/gpu/"
  ln -s "$source_dir/configs" "$tree/configs"
  ln -s "$source_dir/experiments" "$tree/experiments"
  run "$tree/tests/gpu/run.sh" --out "$scratch/out"
  expect 2 'bin/attnlab does not exist; build first' "a tree that is not built is refused"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$program" >"$tree/bin/attnlab"
  chmod +x "$tree/bin/attnlab"
  run "$tree/tests/gpu/run.sh" --out "$scratch/out"
  expect 2 'device=cuda cannot be used' "the reason is said"
  expect 2 'no step can run without a GPU' "no GPU is an error"
  if grep -q ' pass ' <<<"$said"; then echo "FAIL: a step passed without a GPU"; failures=1; fi
elif [ "$code" -eq 0 ]; then
  echo "there is a GPU here: its absence cannot be tested"
fi
[ $failures -eq 0 ] && echo "run.sh keeps its promises"
exit $((failures > 0))
