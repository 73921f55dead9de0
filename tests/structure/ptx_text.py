#!/usr/bin/env python3
"""What the wrappers of kernels/cuda/ptx/ really ask of a GPU, checked where there is none.

The host execution model of the tests replaces the wrappers, so it cannot see a mistake in their
assembly. Here one kernel per wrapper is compiled to PTX, every operand is traced back to the
parameter and element that it came from, and the text is compared with an expectation that was
written by hand from the PTX ISA:

  kernel mma_bf16
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {#0..3}, {p1[0..3]}, {p2[0..1]}, {p0[0..3]}
    p0[0..3] = #0..3

pN: parameter N, pN[i]: the i-th 4-byte element that it points to; #i: the i-th register of the
instruction's destination (#1:i of the second instruction). A destination that is also read shows
the values it brings, and `#` after the instruction.

  ptx_text.py NVCC SOURCE_DIR [--print]   compiles, compares (or prints) and exits 1 at a difference
  ptx_text.py --self-test                 swaps operands in a sample and expects to see each swap
"""
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

COPIES = re.compile(r"(mov|cvta\.to\.\w+|cvta|cvt)\.[\w.]+$")
RANGE = re.compile(r"(.*?)(\d+)(\]?)$")


def operands(text):
    """Splits at commas outside brackets and braces."""
    parts, depth, part = [], 0, ""
    for c in text:
        depth += (c in "{[") - (c in "}]")
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    return parts + [part.strip()] if part.strip() else parts


def compress(names):
    """p1[0], p1[1], p1[2] -> p1[0..2]."""
    result, run = [], []

    def flush():
        if run:
            head, first, tail = RANGE.match(run[0]).groups()
            last = RANGE.match(run[-1]).group(2)
            result.append(run[0] if len(run) == 1 else f"{head}{first}..{last}{tail}")
            run.clear()

    for name in names:
        match = RANGE.match(name)
        if run and match:
            head, last, tail = RANGE.match(run[-1]).groups()
            if (match.group(1), int(match.group(2)), match.group(3)) == (head, int(last) + 1, tail):
                run.append(name)
                continue
        flush()
        if match:
            run.append(name)
        else:
            result.append(name)
    flush()
    return ", ".join(result)


class Kernel:
    """Traces the values of registers through straight-line PTX."""

    def __init__(self):
        self.values, self.lines, self.stores, self.count = {}, [], [], 0

    def value(self, name):
        return self.values.get(name, name)

    def address(self, text):
        base, _, offset = text.strip("[]").partition("+")
        return self.value(base), int(offset or 0)

    def step(self, line):
        if line.startswith((".reg", "//", "ret")) or line in "{}":
            return
        guard = re.match(r"(@!?[%\w]+)\s+", line)
        op, _, rest = (line[guard.end():] if guard else line).partition(" ")
        args = operands(rest.strip())
        if op.startswith("ld.param"):
            self.values[args[0]] = "p" + re.search(r"_param_(\d+)", args[1]).group(1)
        elif op.startswith("ld.global"):
            base, offset = self.address(args[1])
            self.values[args[0]] = f"{base}[{offset // 4}]"
        elif op.startswith("st.global"):
            base, offset = self.address(args[0])
            self.stores.append((f"{base}[{offset // 4}]", self.value(args[1])))
        elif COPIES.match(op) and len(args) == 2:
            self.values[args[0]] = self.value(args[1])
        elif op.startswith(("setp.ne", "setp.eq")) and args[2] == "0":
            value, equal = self.value(args[1]), op.startswith("setp.eq")
            is_predicate = value.endswith(" 0") and not equal
            self.values[args[0]] = value if is_predicate else f"{value} {'=!'[not equal]}= 0"
        elif op.startswith("selp"):
            yes, no, predicate = map(self.value, args[1:])
            self.values[args[0]] = predicate if (yes, no) == ("1", "0") else (
                f"{predicate} ? {yes} : {no}")
        else:
            self.instruction(guard.group(1) + " " if guard else "", op, args)

    def instruction(self, guard, op, args):
        # Labels, branches and what has no destination begin with something else than a register.
        tag = f"#{self.count}:" if self.count else "#"
        text, written = [], []
        for position, arg in enumerate(args):
            names = re.findall(r"[%\w.$-]+", arg)
            is_destination = position == 0 and not arg.startswith("[") and not op.startswith(
                ("bar", "bra", "setmaxnreg", "cp.async", "mbarrier.init", "prefetch", "wgmma.wait"))
            reads = is_destination and op.startswith("wgmma.mma")
            if is_destination:
                written = names
            shown = [tag + str(i) if is_destination and not reads and n != "_" else self.value(n)
                     for i, n in enumerate(names)]
            if arg.startswith("["):
                inner = re.sub(r"[%\w$-]+(?:\.[\w]+)?", lambda m: self.value(m.group()), arg[1:-1])
                inner = re.sub(r"\{([^}]*)\}",
                               lambda m: "{" + compress(m.group(1).split(", ")) + "}", inner)
                text.append(f"[{inner}]")
            elif arg.startswith("{"):
                text.append("{" + compress(shown) + "}")
            elif "|" in arg:
                text.append("|".join(shown))
            else:
                text.append(shown[0])
            if reads:
                text[-1] += "#"
        if set(written) - {"_"}:
            for i, name in enumerate(written):
                self.values[name] = tag + str(i)
            self.count += 1
        self.lines.append(f"{guard}{op} {', '.join(text)}".strip())

    def text(self):
        lines = list(self.lines)
        if self.stores:
            lines.append(f"{compress([a for a, _ in self.stores])} = "
                         f"{compress([b for _, b in self.stores])}")
        return lines


def trace(ptx):
    """{kernel: lines} of a PTX file."""
    kernels = {}
    for match in re.finditer(r"\.entry (\w+)\(.*?\)\n.*?\{\n(.*?)\n\n\}\n", ptx, re.S):
        kernel = Kernel()
        body = re.sub(r"//.*", "", match.group(2))
        body = re.sub(r"\{\s*\.reg \.b64 %tmp;|(?<=%tmp;) \}", "", body)
        for line in re.split(r"[;\n]", body):
            line = " ".join(line.split())
            if line:
                kernel.step(line)
        kernels[match.group(1)] = kernel.text()
    return kernels


def read_expected(text):
    """`each NAME=a,b NAME=c,d` before a kernel: once for every combination, {NAME} replaced, {last}
    by the number of the last of N / 2 accumulators."""
    kernels, choices = {}, [{}]
    blocks = re.split(r"^(?=kernel |each )", re.sub(r"//.*", "", text), flags=re.M)
    for block in filter(str.strip, blocks):
        if block.startswith("each "):
            names = [word.split("=") for word in block.split()[1:]]
            values = itertools.product(*(v.split(",") for _, v in names))
            choices = [dict(zip((n for n, _ in names), v)) for v in values]
            continue
        for choice in choices:
            lines = block
            if "N" in choice:
                choice["last"] = str(int(choice["N"]) // 2 - 1)
            for name, value in choice.items():
                lines = lines.replace("{%s}" % name, value)
            head, *lines = [line.strip() for line in lines.splitlines() if line.strip()]
            kernels[head.split()[1]] = lines
        choices = [{}]
    return kernels


def differences(actual, expected):
    found = []
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            found += [f"kernel {name}", f"  expected {expected.get(name)}",
                      f"  compiled {actual.get(name)}"]
    return found


SAMPLE = """.visible .entry sample(
)
{
	ld.param.u64 	%rd1, [sample_param_0];
	ld.param.u64 	%rd2, [sample_param_1];
	cvta.to.global.u64 	%rd3, %rd2;
	ld.global.u32 	%r1, [%rd3];
	ld.global.u32 	%r2, [%rd3+4];
	// begin inline asm
	stmatrix.x2 [%rd1], {%r1, %r2};
	// end inline asm
	ret;

}
"""


def self_test():
    expected = {"sample": ["stmatrix.x2 [p0], {p1[0..1]}"]}
    found = differences(trace(SAMPLE), expected)
    if found:
        sys.exit("the sample itself differs:\n" + "\n".join(found))
    swaps = [("{%r1, %r2}", "{%r2, %r1}"), ("[%rd1], {", "[%rd2], {"), ("[%rd3+4]", "[%rd3+8]"),
             ("x2 ", "x2.trans ")]
    for old, new in swaps:
        if not differences(trace(SAMPLE.replace(old, new)), expected):
            sys.exit(f"not seen: {old} -> {new}")
    print(f"each of {len(swaps)} planted mistakes was found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    nvcc, root = sys.argv[1], pathlib.Path(sys.argv[2])
    here = root / "tests/structure"
    with tempfile.TemporaryDirectory() as scratch:
        ptx = pathlib.Path(scratch) / "wrappers.ptx"
        subprocess.run([nvcc, "-std=c++20", "--expt-relaxed-constexpr", f"-I{root}",
                        "-gencode=arch=compute_90a,code=compute_90a", "-ptx",
                        str(here / "ptx_text.cu"), "-o", str(ptx)], check=True)
        actual = trace(ptx.read_text())
    if sys.argv[3:] == ["--print"]:
        for name, lines in actual.items():
            print(f"kernel {name}", *("  " + line for line in lines), sep="\n")
        return None
    found = differences(actual, read_expected((here / "ptx_text_expected.txt").read_text()))
    print("\n".join(found) if found else f"{len(actual)} wrappers ask for what they should")
    return sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
