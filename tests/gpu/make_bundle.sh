#!/usr/bin/env bash
# Puts what run.sh needs on a machine without compilers into one folder: programs, libraries, configs, data, scripts.
#
#   tests/gpu/make_bundle.sh BUILD_DIR OUT_DIR [MAX_MIB]
#
# BUILD_DIR is a build of the preset `portable`. OUT_DIR must not exist. Fails where the bundle is larger than MAX_MIB (40)
# or needs a library that neither the bundle, LibTorch's wheels nor the C library has. On the machine with the GPU:
# OUT_DIR/tests/gpu/run.sh, with a Python that has torch 2.11 for CUDA 13.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
out=$2
max_mib=${3:-40}
if [ -e "$out" ]; then
  echo "make_bundle.sh: $out exists already; name a new folder" >&2
  exit 2
fi
for file in bin/attnlab lib/libattnlab.so; do
  if [ ! -e "$build/$file" ]; then
    echo "make_bundle.sh: $build/$file is missing; build attnlab_cli, attnlab_cuda and device_tests first" >&2
    exit 2
  fi
done

mkdir -p "$out/bin" "$out/lib" "$out/experiments" "$out/tests"
cp "$build"/bin/attnlab "$out/bin/"
for program in "$build"/bin/*_device_tests "$build"/bin/ptx_vectors; do
  if [ -e "$program" ]; then cp "$program" "$out/bin/"; fi
done
for library in "$build"/lib/libattnlab.so "$build"/lib/libattnlab_cuda.so; do
  if [ -e "$library" ]; then cp "$library" "$out/lib/"; else echo "make_bundle.sh: without $library" >&2; fi
done
cp -r "$root/configs" "$out/configs"
cp -r "$root/experiments/data" "$out/experiments/data"
cp -r "$root/tests/gpu" "$root/tests/python" "$out/tests/"
rm -rf "$out"/tests/*/__pycache__
strip --strip-unneeded "$out"/bin/* "$out"/lib/*

# Libraries by where they come from: the target has LibTorch, its NVIDIA wheels, and glibc with the loader.
given='^(libtorch[a-z_]*|libc10(_cuda)?|libcudart|libgomp|libgcc_s|libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so'
foreign=no
for file in "$out"/bin/* "$out"/lib/*; do
  while read -r needed; do
    [[ $needed =~ $given ]] && continue
    [ -e "$out/lib/$needed" ] && continue
    # Small libraries that have no static form come along.
    path=$(ldd "$file" | awk -v name="$needed" '$1 == name { print $3 }')
    if [[ $needed == libbenchmark.so.1* ]] && [ -e "$path" ]; then
      cp -L "$path" "$out/lib/$needed"
    else
      echo "make_bundle.sh: $(basename "$file") needs $needed" >&2
      foreign=yes
    fi
  done < <(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  if readelf -d "$file" | grep -E 'R(UN)?PATH' | grep -qE '[:[]/'; then
    echo "make_bundle.sh: $(basename "$file") names a folder of this machine: $(readelf -d "$file" | grep -E 'R(UN)?PATH')" >&2
    foreign=yes
  fi
done
[ $foreign = no ] || { echo "make_bundle.sh: build with cmake --preset portable" >&2; exit 1; }

mib=$(($(du -sk "$out" | cut -f1) / 1024))
echo "$out: $mib MiB"
if [ "$mib" -ge "$max_mib" ]; then
  echo "make_bundle.sh: that is more than $max_mib MiB" >&2
  exit 1
fi
