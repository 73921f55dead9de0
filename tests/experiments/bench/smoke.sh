#!/usr/bin/env bash
# smoke.sh PROGRAM: all cases of attnlab_bench --smoke run and agree with their peers; the CSV file has a
# row for each; wrong usage is refused.
set -euo pipefail
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "smoke: $*" >&2; exit 1; }

"$program" --smoke --threads=1 --csv "$folder/bench.csv" >"$folder/out" 2>"$folder/err" ||
  { cat "$folder/out" "$folder/err"; fail "exit code $?"; }
cases=$("$program" --smoke --threads=1 --benchmark_list_tests 2>/dev/null | grep -c /threads:1)
rows=$(($(wc -l <"$folder/bench.csv") - 1))
[ "$cases" -gt 20 ] || fail "only $cases cases"
[ "$rows" -eq "$cases" ] || fail "$rows rows for $cases cases"
for group in exact_forward exact_backward window linear_forward linear_backward decode_vs_gqa naive; do
  grep -q "^$group" "$folder/out" || fail "no $group in the tables"
done

only=$("$program" --smoke --threads=1 --benchmark_filter=naive --csv "$folder/naive.csv" 2>/dev/null |
  grep -c '^naive/.*threads:1 ')
[ "$only" -ge 1 ] || fail "--benchmark_filter=naive gave no row"
grep -q '^exact' "$folder/naive.csv" && fail "--benchmark_filter=naive let exact cases through"

status=0
"$program" --no-such-flag >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "an unknown flag gave exit code $status"
status=0
"$program" --cpu-time --threads=1,2 >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "--cpu-time with two threads gave exit code $status"
status=0
"$program" --smoke --threads=1 --benchmark_filter=naive --csv "$folder/none/x.csv" >/dev/null 2>&1 || status=$?
[ "$status" -eq 1 ] || fail "an unwritable file gave exit code $status"
status=0
"$program" --smoke --threads=1 --benchmark_filter=no_such_case >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a filter that matches nothing gave exit code $status"
if [ "$(nproc)" -gt 1 ]; then
  pairs=$("$program" --smoke --benchmark_list_tests 2>/dev/null | grep -c /threads:2)
  [ "$pairs" -gt 0 ] || fail "no case runs with two threads by default"
fi

if [ "$(nproc)" -gt 1 ]; then  # threads that may move between CPUs are an error of the case
  status=0
  OMP_PLACES=cores OMP_PROC_BIND=false "$program" --smoke --threads=1 --benchmark_filter=naive >/dev/null 2>&1 || status=$?
  [ "$status" -eq 3 ] || fail "unpinned threads gave exit code $status"
fi
