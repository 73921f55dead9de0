#!/usr/bin/env python3
"""The same call gives the same bits every time, on any stream, and for a slice of the batch.

  ATTNLAB_LIBRARY=build/lib/libattnlab.so python tests/gpu/determinism.py [--repeats 50]

Each case runs forward and backward `repeats` times, every other time on a second stream, between calls
that disturb the caches and the allocator. One line per case; exit 1 if one differs.
"""

import argparse
import sys

import torch

from attnlab_ops import load, normal, outputs, qkv

ops = load()
BF16, F32 = torch.bfloat16, torch.float32


def attention(**keywords):
    return lambda q, k, v: ops.attention(q, k, v, **keywords)


# name: (operator, dtype, sizes of qkv)
CASES = {
    "attention causal": (attention(causal=True), BF16, (3, 4, 2, 515, 515, 64)),
    "attention float16 window": (attention(window_left=100, window_right=0), torch.float16,
                                 (2, 2, 2, 700, 700, 128)),
    "attention float32": (attention(causal=True), F32, (2, 2, 1, 300, 300, 64)),
    "attention softcap cross": (attention(softcap=5.0), BF16, (2, 2, 2, 129, 1000, 72)),
    "naive_attention": (lambda q, k, v: ops.naive_attention(q, k, v, causal=True), BF16,
                        (3, 4, 2, 200, 200, 64)),
    "linear_attention": (lambda q, k, v: ops.linear_attention(q, k, v), BF16,
                         (3, 4, 4, 1500, 1500, 64)),
    "linear_attention float32": (lambda q, k, v: ops.linear_attention(q, k, v), F32,
                                 (2, 2, 1, 700, 700, 32)),
    "decode_attention": (lambda q, k, v: ops.decode_attention(q, k, v), BF16,
                         (3, 8, 2, 1, 20000, 128)),
}


def run(operator, inputs):
    """Outputs and gradients of one call."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    result = outputs(operator(*leaves))
    grad = normal(7, result[0].dtype, *result[0].shape[1:]).expand_as(result[0])
    return [t.detach() for t in result] + list(torch.autograd.grad(result[0], leaves, grad))


def disturb(amount):
    junk = [torch.empty(1 + amount * 12345 % 5_000_000, device="cuda").fill_(float("nan"))
            for _ in range(3)]
    del junk


def check(operator, dtype, sizes, repeats):
    inputs = qkv(dtype, *sizes)
    expected = run(operator, inputs)
    other = torch.cuda.Stream()
    for i in range(repeats):
        disturb(i)
        torch.cuda.synchronize()
        with torch.cuda.stream(other if i % 2 else torch.cuda.default_stream()):
            again = run(operator, inputs)
        torch.cuda.synchronize()
        for number, (a, b) in enumerate(zip(expected, again)):
            if not torch.equal(a, b):
                return f"repeat {i}: tensor {number} differs in {(a != b).sum().item()} elements"
    for item in range(sizes[0]):
        part = run(operator, [t[item:item + 1] for t in inputs])
        for number, (a, b) in enumerate(zip(expected, part)):
            if not torch.equal(a[item:item + 1], b):
                return f"batch item {item} alone: tensor {number} differs"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    failed = 0
    for name, case in CASES.items():
        problem = check(*case, repeats)
        failed += bool(problem)
        print(f"{'FAIL' if problem else 'ok':4}  {name}  {problem}", flush=True)
    print(f"{len(CASES) - failed} of {len(CASES)} cases give the same bits")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
