#!/usr/bin/env python3
"""Checks what ptxas said about every kernel when it was built.

  ptxas_report.py [--update] TABLE VERSION OBJECT...
                                  reads OBJECT.ptxas.txt (cmake/keep_ptxas_report.sh) and fails on
                                  spilled registers, stack frames, static shared memory, remarks
                                  (serialised wgmma, ignored setmaxnreg), and on kernels that need
                                  more registers than TABLE (CSV) says. --update rewrites TABLE
                                  (build target ptxas_update).
  ptxas_report.py --self-test     plants one fault per rule and expects each

VERSION is that of the compiler: registers are compared only with numbers of the same one.
"""
import argparse
import collections
import csv
import io
import pathlib
import re
import subprocess
import sys
import tempfile

# Changes of this many registers are noise of the compiler; more can cost a block per multiprocessor.
TOLERANCE = 8
COLUMNS = ["compiler", "arch", "kernel", "registers"]
# {(arch, pattern of a kernel's name): reason}: kernels that may have spills or a stack frame.
MAY_SPILL = {}

Kernel = collections.namedtuple("Kernel", "arch name registers stack spills static_shared")

ENTRY = re.compile(r"Compiling entry function '([^']+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(.*)")
SHARED = re.compile(r"(\d+) bytes smem")
REMARK = re.compile(r"^ptxas info\s*:\s*(\(C\d+\).*|.*Potential Performance Loss.*)")


def parse(text):
    """The kernels of one report, and its remarks."""
    kernels, remarks, entry, frame = [], [], None, None
    for line in text.splitlines():
        if match := REMARK.search(line):
            remarks.append(match[1])
        elif match := ENTRY.search(line):
            entry, frame = match.groups(), None
        elif (match := FRAME.search(line)) and entry:
            # Of a kernel, and then of the functions that it calls and that are not inlined.
            numbers = [int(number) for number in match.groups()]
            frame = numbers if frame is None else [max(pair) for pair in zip(frame, numbers)]
        elif (match := USED.search(line)) and entry:
            shared = SHARED.search(match[2])
            stack, stores, loads = frame or (0, 0, 0)
            kernels.append(Kernel(entry[1], entry[0], int(match[1]), stack, stores + loads,
                                  int(shared[1]) if shared else 0))
            entry = None
    return kernels, remarks


def demangled(names):
    """Names as in the source; the hash that nvcc gives to anonymous namespaces is dropped."""
    if not names:
        return []
    result = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                            check=True).stdout.splitlines()
    shorter = [re.sub(r"_GLOBAL__N__\w+|\(anonymous namespace\)", "(anonymous)", name)
               for name in result]
    # The parameters of a template's instance follow from its arguments.
    return [re.sub(r"^void (.*>)\(.*\)$", r"\1", name).replace("attnlab::", "") for name in shorter]


def read_reports(objects):
    """(kernels with readable names, faults of the reports themselves)."""
    kernels, faults = [], []
    for path in objects:
        report = pathlib.Path(path + ".ptxas.txt")
        if not report.exists():
            faults.append(f"no report for {path}; build attnlab_kernels_cuda first")
            continue
        found, remarks = parse(report.read_text())
        kernels += found
        faults += [f"{pathlib.Path(path).name}: {remark}" for remark in remarks]
    if not kernels and not faults:
        faults.append("no kernel in any report; is -Xptxas=-v gone?")
    names = demangled([kernel.name for kernel in kernels])
    return [k._replace(name=name) for k, name in zip(kernels, names)], faults


def faults_of(kernel):
    allowed = any(arch == kernel.arch and re.search(pattern, kernel.name)
                  for arch, pattern in MAY_SPILL)
    if kernel.spills and not allowed:
        yield f"{kernel.spills} bytes of spills"
    elif kernel.stack and not allowed:
        yield f"a stack frame of {kernel.stack} bytes (an array indexed at run time?)"
    if kernel.static_shared:
        yield f"{kernel.static_shared} bytes of static shared memory; use shared_memory()"


def check(kernels, table, version):
    """Faults of all kernels, given the rows of the table."""
    faults = [f"{k.name} ({k.arch}): {fault}" for k in kernels for fault in faults_of(k)]
    if table and table[0]["compiler"] != version:
        print(f"note: compiler {version}, table of {table[0]['compiler']}: registers not compared")
        return faults
    expected = {(row["arch"], row["kernel"]): int(row["registers"]) for row in table}
    for kernel in kernels:
        limit = expected.pop((kernel.arch, kernel.name), None)
        if limit is None:
            faults.append(f"{kernel.name} ({kernel.arch}): not in the table; build ptxas_update")
        elif kernel.registers > limit + TOLERANCE:
            faults.append(f"{kernel.name} ({kernel.arch}): {kernel.registers} registers, "
                          f"the table says {limit}")
    faults += [f"{name} ({arch}): in the table, but not built; build ptxas_update"
               for arch, name in expected]
    return faults


def as_table(kernels, version):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted({(version, k.arch, k.name, k.registers) for k in kernels}))
    return out.getvalue()


def self_test():
    good = ("ptxas info    : Compiling entry function '_Z4copyPf' for 'sm_80'\n"
            "ptxas info    : Function properties for _Z4copyPf\n"
            "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
            "ptxas info    : Used 40 registers, used 1 barriers, 400 bytes cmem[0]\n")
    table = [{"compiler": "13.0", "arch": "sm_80", "kernel": "copy(float*)", "registers": "40"}]
    cases = [
        ("nothing", good, table, "13.0", None),
        ("spills", good.replace("0 bytes spill loads", "8 bytes spill loads"), table, "13.0",
         "8 bytes of spills"),
        ("stack", good.replace("0 bytes stack", "16 bytes stack"), table, "13.0", "stack frame"),
        ("static shared memory", good.replace("barriers", "barriers, 512 bytes smem"), table, "13.0",
         "512 bytes of static"),
        ("serialised wgmma", good + "ptxas info    : (C7510) Potential Performance Loss: wgmma\n",
         table, "13.0", "C7510"),
        ("more registers", good.replace("Used 40", "Used 49"), table, "13.0", "49 registers"),
        ("registers within the tolerance", good.replace("Used 40", "Used 48"), table, "13.0", None),
        ("another compiler", good.replace("Used 40", "Used 90"), table, "13.1", None),
        ("a kernel without a row", good, [], "13.0", "not in the table"),
        ("a row without a kernel", good, table + [dict(table[0], kernel="gone()")], "13.0",
         "gone() (sm_80): in the table, but not built"),
        ("an empty report", "ptxas info    : 0 bytes gmem\n", [], "13.1", "no kernel"),
        ("no report", None, [], "13.0", "no report"),
    ]
    for what, report, rows, version, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.o"
            if report is not None:
                pathlib.Path(str(path) + ".ptxas.txt").write_text(report)
            kernels, faults = read_reports([str(path)])
            faults += check(kernels, rows, version)
        as_expected = not faults if expected is None else any(expected in f for f in faults)
        if not as_expected:
            sys.exit(f"self-test: planted {what}, expected {expected}, found {faults}")
    print(f"{len(cases)} cases judged as expected")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser()
    parser.add_argument("--update", action="store_true")
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("version")
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    kernels, faults = read_reports(arguments.objects)
    if arguments.update:
        arguments.table.write_text(as_table(kernels, arguments.version))
    table = []
    if arguments.table.exists():
        table = list(csv.DictReader(arguments.table.read_text().splitlines()))
    faults += check(kernels, table, arguments.version)
    for fault in faults:
        print(fault)
    print(f"{len(kernels)} kernels of {len(arguments.objects)} objects, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
