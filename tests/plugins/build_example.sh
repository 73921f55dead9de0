#!/usr/bin/env bash
# Builds the example plugin outside the project's own targets, as the README says.
#   build_example.sh CMAKE SOURCE BUILD ATTNLAB_BUILD NINJA COMPILER
set -euo pipefail
"$1" -G Ninja -S "$2" -B "$3" -DCMAKE_PREFIX_PATH="$4" -DCMAKE_MAKE_PROGRAM="$5" \
  -DCMAKE_CXX_COMPILER="$6" -DCMAKE_BUILD_TYPE=Release
"$1" --build "$3"
test -f "$3/mean_pooling.so"
