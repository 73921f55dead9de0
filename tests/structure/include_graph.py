#!/usr/bin/env python3
"""Checks who includes whom: the layers of the project, and the one place of each library.

  include_graph.py SOURCE_DIR     lists every violation and exits 1 if there is one
  include_graph.py --self-test    plants one violation per rule in a scratch tree and expects each
"""
import pathlib
import re
import sys
import tempfile

# A folder may include the folders listed; the longest prefix that fits a file is its folder.
MAY_INCLUDE = {
    "kernels/core": ["kernels/core"],
    "kernels/cpu": ["kernels/core", "kernels/cpu"],
    "kernels/cuda": ["kernels/core", "kernels/cuda"],
    "kernels/ops": ["kernels/core", "kernels/cpu", "kernels/cuda", "kernels/ops"],
    "variants/api": ["kernels", "variants/api"],
    "variants/*": ["kernels/core", "kernels/ops", "variants/api", "variants/<own>"],
    "analysis": ["analysis", "kernels/core"],
    # The device (timers, memory statistics) is the one thing of the operators that measuring needs.
    "experiments": ["kernels/core", "kernels/ops/device.h", "variants/api", "analysis",
                    "experiments"],
    # The benchmark of the kernels needs them, and no variants.
    "experiments/bench": ["kernels/core", "kernels/cpu", "kernels/ops", "analysis",
                          "experiments/bench", "experiments/measure"],
}
# External headers and the only folders that may include them.
ONLY_IN = {
    r"(torch|ATen|c10)/": ["kernels/ops", "variants", "experiments/measure", "experiments/models",
                           "experiments/runner", "experiments/training", "experiments/tasks", "experiments/cli",
                           "experiments/bench", "experiments/main.cpp", "tests"],
    r"yaml-cpp/": ["experiments/config", "tests/experiments/config"],
    r"benchmark/": ["experiments/measure", "experiments/bench"],
    r"(cuda|cub/|nvml)": ["kernels/cuda", "kernels/ops/cuda", "tests"],
}
# What only a GPU has, and the only files under kernels/cuda that may name it: everything else must
# also run under the host execution model.
DEVICE_ONLY = re.compile(
    r"\basm\b|<<<|\b(threadIdx|blockIdx|blockDim|gridDim|__shared__|__(syncthreads|syncwarp|shfl|ballot"
    r"|any|all|ldg|activemask|nanosleep|threadfence)\w*)\b")
DEVICE_ONLY_IN = ["kernels/cuda/ptx/"]
TOP = ("kernels", "variants", "analysis", "experiments")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def folder_of(path):
    """The key of MAY_INCLUDE for a path, and its own variant folder where it has one."""
    parts = path.split("/")
    if parts[0] == "variants" and len(parts) > 2 and parts[1] != "api":
        return "variants/*", "/".join(parts[:2])
    for key in sorted(MAY_INCLUDE, key=len, reverse=True):
        if path.startswith(key + "/"):
            return key, None
    return None, None


def violations(root):
    found = []
    for top in TOP:
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cpp", ".cu", ".cuh"):
                continue
            path = file.relative_to(root).as_posix()
            key, own = folder_of(path)
            text = file.read_text()
            if path.startswith("kernels/cuda/") and not path.startswith(tuple(DEVICE_ONLY_IN)):
                if match := DEVICE_ONLY.search(re.sub(r"//.*", "", text)):
                    found.append(f"{path} uses {match.group()}; only in: {', '.join(DEVICE_ONLY_IN)}")
            for quote, target in INCLUDE.findall(text):
                if quote == '"' and target.split("/")[0] in TOP + ("tests",):
                    allowed = [own if a == "variants/<own>" else a for a in MAY_INCLUDE.get(key, [])]
                    if not any(target == a or target.startswith(a + "/") for a in allowed if a):
                        found.append(f"{path} includes {target}; allowed: {', '.join(allowed)}")
                for pattern, places in ONLY_IN.items():
                    external = quote == "<"
                    if external and re.match(pattern, target) and not any(
                            path == p or path.startswith((p + "/", p + "_")) for p in places):
                        found.append(f"{path} includes <{target}>; only in: {', '.join(places)}")
    for file in sorted((root / "tests/kernels/cuda").rglob("*_test.cpp")):
        path = file.relative_to(root).as_posix()
        if not path.endswith("_schedules_test.cpp") and '"hostexec/' in file.read_text():
            found.append(f"{path} includes hostexec; only *_schedules_test.cpp may: the others are "
                         "compiled for a GPU too")
    return found


def self_test():
    planted = {
        "kernels/core/a.h": '#include "kernels/cpu/b.h"',
        "kernels/cpu/b.h": "#include <ATen/core/Tensor.h>",
        "variants/one/one.cpp": '#include "variants/two/two.h"',
        "variants/api/v.h": '#include "variants/one/one.h"',
        "experiments/runner/r.cpp": '#include "variants/one/one.h"',
        "experiments/cli/c.cpp": "#include <yaml-cpp/yaml.h>",
        "analysis/t.cpp": "#include <torch/torch.h>",
        "experiments/runner/b.cpp": "#include <benchmark/benchmark.h>",
        "experiments/bench/b.cpp": '#include "variants/api/variant.h"',
        "kernels/cpu/c.h": "#include <cuda_runtime.h>",
        "kernels/cuda/k.cuh": 'int i = threadIdx.x;  // a comment may say asm',
        "tests/kernels/cuda/k_test.cpp": '#include "hostexec/scheduler.h"',
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        for path, text in planted.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n")
        found = violations(root)
        missed = [path for path in planted if not any(v.startswith(path + " ") for v in found)]
    if missed or len(found) != len(planted):
        sys.exit(f"self-test failed: missed {missed}, found {found}")
    print(f"each of {len(planted)} planted violations was found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = violations(pathlib.Path(sys.argv[1]))
    print("\n".join(found) if found else "the include graph keeps its layers")
    return sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
