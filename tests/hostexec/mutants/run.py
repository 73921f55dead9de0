#!/usr/bin/env python3
"""Breaks the CUDA kernels in known ways and expects the tests to notice.

A mutant is a file FAMILY_NAME.patch. Its first line says what it breaks:
    # breaks: V may be overwritten while others still read it
It is applied to a copy of kernels/; the kernels of the family are compiled from there and linked with
the family's driver (FAMILY_driver.cpp), which must then fail or not end. The drivers must pass with
the kernels as they are. Prints a table; the exit code is 0 where every driver is clean and the
mutants that survive are at most --allowed of them.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

# Talks to the CUDA driver: the emulator has its own.
NOT_EMULATED = {"tensor_map.cu"}
FLAGS = ["-std=c++20", "-O1", "-w", "-DATTNLAB_HOSTEXEC", "-fsanitize=thread",
         "--param=tsan-instrument-func-entry-exit=0", "-fno-tree-vectorize", "-ffp-contract=off"]
SECONDS = 120


class Failed(Exception):
    """A step that has to work does not."""


def output_of(command, **options):
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    return result.returncode, result.stdout


def must(command, **options):
    code, text = output_of(command, **options)
    if code != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{text}")
    return text


def first_fault(text):
    """The line of a driver's output that says what was found."""
    for line in text.splitlines():
        if "[hostexec]" in line:
            return re.sub(r".*\(warp \d+, lane \d+\): ", "", line.split("[hostexec] ", 1)[1], count=1)
    for line in text.splitlines():
        if "Failure" in line:
            return "wrong result"
    return "ended with an error"


class Family:
    def __init__(self, name, options, scratch):
        self.name = name
        self.options = options
        self.scratch = scratch
        self.driver = scratch / f"{name}_driver.o"
        self.kernels = [path.relative_to(options.source) for path
                        in sorted((options.source / "kernels/cuda" / name).glob("*.cu"))
                        if path.name not in NOT_EMULATED]
        self.clean = {}  # kernel -> its object without a mutant

    def compile(self, root, source, target):
        must([*self.options.compiler, *FLAGS, "-MMD", "-I", root, "-I", self.options.source,
              "-I", self.options.source / "tests", "-x", "c++", "-c", source, "-o", target])

    def prepare(self):
        """Compiles the driver and the kernels as they are, and expects them to pass."""
        source = self.options.source
        self.compile(source, source / "tests/hostexec/mutants" / f"{self.name}_driver.cpp", self.driver)
        for kernel in self.kernels:
            target = self.scratch / f"{self.name}_{kernel.stem}.o"
            self.compile(source, source / kernel, target)
            self.clean[kernel] = target
        code, text = self.run(self.scratch / f"{self.name}_clean", self.clean.values())
        if code != 0:
            raise Failed(f"the driver of {self.name} fails without a mutant:\n{text}")

    def run(self, program, objects):
        must([*self.options.compiler, self.driver, *objects, "-o", program, *self.options.libraries])
        try:
            return output_of([program, "--gtest_brief=1", "--gtest_fail_fast"], timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return 1, "did not end"

    def mutate(self, patch):
        """(killed, by what, seconds)"""
        begin = time.monotonic()
        folder = self.scratch / patch.stem
        kernels = folder / "kernels"
        shutil.copytree(self.options.source / "kernels/core", kernels / "core")
        shutil.copytree(self.options.source / "kernels/cuda", kernels / "cuda")
        code, _ = output_of(["patch", "-p1", "-s", "-f", "--no-backup-if-mismatch", "-i", patch],
                            cwd=folder)
        if code != 0:
            return False, "the patch does not apply to the kernels any more", 0.0
        mutated = re.search(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE)[1]
        objects = []
        for kernel, clean in self.clean.items():
            if mutated not in clean.with_suffix(".d").read_text():
                objects.append(clean)
                continue
            target = folder / f"{kernel.stem}.o"
            self.compile(folder, folder / kernel, target)
            objects.append(target)
        code, text = self.run(folder / "driver", objects)
        shutil.rmtree(folder)
        return code != 0, first_fault(text) if code != 0 else "-", time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=lambda x: pathlib.Path(x).resolve(), required=True)
    parser.add_argument("--compiler", type=str.split, default=["g++"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="mutants whose names begin so")
    parser.add_argument("--allowed", type=float, default=0.05, help="part that may survive")
    parser.add_argument("libraries", nargs=argparse.REMAINDER, help="what drivers are linked with")
    options = parser.parse_args()
    folder = options.source / "tests/hostexec/mutants"
    patches = sorted(folder.glob(f"{options.only}*.patch"))
    if not patches:
        sys.exit(f"no mutants in {folder}")

    with tempfile.TemporaryDirectory() as scratch:
        names = sorted({patch.stem.split("_")[0] for patch in patches})
        families = {name: Family(name, options, pathlib.Path(scratch)) for name in names}
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            try:
                list(pool.map(Family.prepare, families.values()))
                results = list(pool.map(
                    lambda patch: families[patch.stem.split("_")[0]].mutate(patch), patches))
            except Failed as failure:
                sys.exit(str(failure))

    survivors = 0
    for patch, (killed, by, seconds) in zip(patches, results):
        breaks = patch.read_text().splitlines()[0].removeprefix("# breaks: ")
        survivors += not killed
        print(f"{'killed' if killed else 'SURVIVED':9}{patch.stem:34}{seconds:6.1f} s  {breaks}")
        if by != "-":
            print(f"{'':9}{by[:170]}")
    rate = 1.0 - survivors / len(patches)
    print(f"{len(patches) - survivors} of {len(patches)} mutants killed ({rate:.0%})")
    return 0 if survivors <= options.allowed * len(patches) else 1


if __name__ == "__main__":
    sys.exit(main())
