#!/bin/sh
# Runs a CUDA compiler and keeps what ptxas reports (-Xptxas=-v), for tests/structure/ptxas_report.py.
#   keep_ptxas_report.sh OBJECT COMMAND...
# The report goes to OBJECT.ptxas.txt, every other message to stderr.
object=$1
shift
messages=$object.messages
"$@" 2>"$messages"
code=$?
report='^ptxas info|^ +[0-9]+ bytes stack frame'
grep -E "$report" "$messages" >"$object.ptxas.txt"
grep -vE "$report" "$messages" >&2
rm -f "$messages"
exit $code
