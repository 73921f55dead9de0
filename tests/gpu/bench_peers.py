#!/usr/bin/env python3
"""Times the attnlab operators beside PyTorch's own on one GPU.

  ATTNLAB_LIBRARY=build/lib/libattnlab.so python tests/gpu/bench_peers.py --csv peers.csv [--quick]

Peers: scaled_dot_product_attention with the flash, cuDNN and efficient back ends (dense, decode),
FlexAttention and a boolean mask (window), chunked linear attention in plain Torch (linear). The peers of
a case take turns, a sample each, so that clocks and temperature are the same for all; a sample is one
call between CUDA events after the L2 cache has been overwritten. Times are medians. FLOPs count visible
pairs: 4 * heads * pairs * head_dim forward, 2.5 times that backward. `error` is the relative L2 error of
sampled rows of the first batch item against float64. A peer that refuses a case is a row with the reason.
"""

import argparse
import csv
import datetime
import math
import statistics
import sys
from types import SimpleNamespace as Case

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnlab_ops import load, normal, qkv

BACKENDS = {"sdpa_flash": SDPBackend.FLASH_ATTENTION, "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
            "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION}
CHUNK = 64  # of the plain linear attention
COLUMNS = ("date device torch cuda family peer direction dtype batch heads kv_heads seqlen_q seqlen_k "
           "head_dim causal window samples median_ms p10_ms p90_ms tflops gbps error note").split()


def sdpa(backend, causal):
    def call(q, k, v):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal,
                                                  enable_gqa=q.shape[1] != k.shape[1])
    return call


def dense_cases(ops, quick):
    for head_dim in (64, 128) if quick else (64, 128, 256):
        for seqlen in (1024, 4096) if quick else (512, 1024, 2048, 4096, 8192, 16384):
            for causal in (False, True):
                peers = {"attnlab": lambda q, k, v, c=causal: ops.attention(q, k, v, causal=c)[0]}
                peers.update({name: sdpa(b, causal) for name, b in BACKENDS.items()})
                heads = 2048 // head_dim
                yield Case(family="dense", causal=causal, window=-1, backward=True, peers=peers,
                           sizes=(max(1, 16384 // seqlen), heads, heads, seqlen, seqlen, head_dim))


def window_cases(ops, quick):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    seqlen, window = (4096, 256) if quick else (16384, 256)
    idx = torch.arange(seqlen, device="cuda")
    mask = (idx[None] <= idx[:, None]) & (idx[:, None] - idx[None] <= window)
    blocks = create_block_mask(lambda b, h, q, k: (q >= k) & (q - k <= window), None, None, seqlen,
                               seqlen, device="cuda")
    flex = torch.compile(flex_attention)
    peers = {"attnlab": lambda q, k, v: ops.attention(q, k, v, causal=True, window_left=window)[0],
             "flex": lambda q, k, v: flex(q, k, v, block_mask=blocks),
             "sdpa_mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)}
    yield Case(family="window", causal=True, window=window, backward=True, peers=peers,
               sizes=(1, 16, 16, seqlen, seqlen, 64))


def decode_cases(ops, quick):
    for batch, length in ((32, 4096),) if quick else ((1, 65536), (32, 4096), (128, 1024)):
        peers = {"attnlab": lambda q, k, v: ops.decode_attention(q, k, v)[0]}
        peers.update({name: sdpa(b, False) for name, b in BACKENDS.items()})
        yield Case(family="decode", causal=False, window=-1, backward=False, peers=peers,
                   sizes=(batch, 32, 8, 1, length, 128))


def plain_linear(q, k, v):
    """Chunked causal linear attention (elu + 1), batch 1, length a multiple of CHUNK."""
    cut = (*q.shape[:2], q.shape[2] // CHUNK, CHUNK, q.shape[3])
    phi_q, phi_k, values = (F.elu(q) + 1).view(cut), (F.elu(k) + 1).view(cut), v.view(cut)
    states, sums = phi_k.mT @ values, phi_k.sum(-2)
    before, sums_before = states.cumsum(2) - states, sums.cumsum(2) - sums
    scores = (phi_q @ phi_k.mT).tril()
    top = scores @ values + phi_q @ before
    bottom = scores.sum(-1) + (phi_q * sums_before.unsqueeze(-2)).sum(-1)
    return (top / bottom.unsqueeze(-1)).view(q.shape)


def linear_cases(ops, quick):
    for seqlen in (4096,) if quick else (4096, 16384, 65536):
        for head_dim in (64, 128):
            yield Case(family="linear", causal=True, window=-1, backward=True,
                       peers={"attnlab": lambda q, k, v: ops.linear_attention(q, k, v),
                              "torch_chunked": plain_linear},
                       sizes=(1, 16, 16, seqlen, seqlen, head_dim))


FAMILIES = {"dense": dense_cases, "window": window_cases, "decode": decode_cases,
            "linear": linear_cases}


def visible_pairs(case):
    _, _, _, rows, keys, _ = case.sizes
    if not case.causal:
        return rows * keys
    offset, total = keys - rows, 0
    for row in range(rows):
        first = 0 if case.window < 0 else max(0, row + offset - case.window)
        total += row + offset + 1 - first
    return total


def flops(case):
    batch, heads, _, rows, keys, head_dim = case.sizes
    if case.family == "linear":  # a state update and a state read per token
        return 2 * batch * heads * (rows + keys) * head_dim * head_dim
    return 4 * batch * heads * visible_pairs(case) * head_dim


def reference_rows(case, q, k, v, rows):
    group = q.shape[1] // k.shape[1]
    q, k, v = q[0][:, rows].double(), *(t[0].repeat_interleave(group, 0).double() for t in (k, v))
    position = rows + k.shape[1] - case.sizes[3]
    key = torch.arange(k.shape[1], device="cuda")
    keep = torch.ones(len(rows), k.shape[1], dtype=torch.bool, device="cuda")
    if case.causal:
        keep &= key[None] <= position[:, None]
    if case.window >= 0:
        keep &= key[None] >= position[:, None] - case.window
    if case.family == "linear":
        weights = ((F.elu(q) + 1) @ (F.elu(k) + 1).mT).masked_fill(~keep, 0)
        return weights / weights.sum(-1, keepdim=True) @ v
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~keep, -math.inf)
    return scores.softmax(-1) @ v


def error(case, q, k, v, out):
    rows = torch.linspace(0, q.shape[2] - 1, min(16, q.shape[2]), device="cuda").long()
    reference = reference_rows(case, q, k, v, rows)
    return ((out[0][:, rows].double() - reference).norm() / reference.norm()).item()


class Timer:
    """Samples of several calls in turns, each after the L2 cache has been overwritten."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.junk = torch.empty(256 << 20, dtype=torch.int8, device="cuda")

    def once(self, call):
        self.junk.zero_()
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop)

    def __call__(self, calls):
        for call in calls.values():
            for _ in range(3):
                call()
        torch.cuda.synchronize()
        first = {name: self.once(call) for name, call in calls.items()}
        rounds = int(1e3 * self.seconds / max(1e-3, statistics.fmean(first.values())))
        samples = {name: [] for name in calls}
        for _ in range(min(200, max(7, rounds // max(1, len(calls))))):
            for name, call in calls.items():
                samples[name].append(self.once(call))
        return samples


def attempt(function):
    """(result, "") or (None, reason)."""
    try:
        result = function()
        torch.cuda.synchronize()
        return result, ""
    except Exception as problem:  # a refusal of a peer is a row, not an end
        return None, (str(problem).splitlines() or [type(problem).__name__])[0][:160]


def measure(case, timer, write):
    q, k, v = qkv(torch.bfloat16, *case.sizes)
    calls, backward_calls, errors = {}, {}, {}
    for name, peer in case.peers.items():
        with torch.no_grad():
            out, note = attempt(lambda: peer(q, k, v))
        if note:
            write(case, name, "forward", note=note)
            continue
        errors[name] = error(case, q, k, v, out)
        calls[name] = lambda peer=peer: peer(q, k, v)
        if not case.backward:
            continue
        leaves = [t.detach().requires_grad_() for t in (q, k, v)]
        grad = normal(9, out.dtype, *out.shape)

        def graph(peer=peer, leaves=leaves):
            return peer(*leaves)
        result, note = attempt(graph)
        call = (lambda result=result, leaves=leaves, grad=grad:
                torch.autograd.grad(result, leaves, grad, retain_graph=True))
        note = note or attempt(call)[1]
        if note:
            write(case, name, "backward", note=note)
        else:
            backward_calls[name] = call
    with torch.no_grad():
        for name, samples in timer(calls).items() if calls else ():
            write(case, name, "forward", samples, flops(case), errors[name])
    for name, samples in timer(backward_calls).items() if backward_calls else ():
        write(case, name, "backward", samples, 2.5 * flops(case))


class Table:
    """Rows to a CSV file and, short, to stdout."""

    def __init__(self, file):
        self.file, self.rows = file, []
        self.writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        self.writer.writeheader()
        self.fixed = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
                      "device": torch.cuda.get_device_name(), "torch": torch.__version__,
                      "cuda": torch.version.cuda, "dtype": "bfloat16"}

    def write(self, case, peer, direction, samples=(), operations=0, relative_error=None, note=""):
        batch, heads, kv_heads, rows, keys, head_dim = case.sizes
        row = dict(self.fixed, family=case.family, peer=peer, direction=direction, batch=batch,
                   heads=heads, kv_heads=kv_heads, seqlen_q=rows, seqlen_k=keys, head_dim=head_dim,
                   causal=int(case.causal), window=case.window, note=note)
        text = f"{case.family:7} n={keys:<6} d={head_dim:<4} {'causal' if case.causal else 'full':7}"
        text += f"{direction:9} {peer:15}"
        if samples:
            median = statistics.median(samples)
            tenths = statistics.quantiles(samples, n=10)
            row.update(samples=len(samples), median_ms=f"{median:.5g}", p10_ms=f"{tenths[0]:.5g}",
                       p90_ms=f"{tenths[8]:.5g}", tflops=f"{operations / median / 1e9:.4g}")
            if case.family == "decode":
                nbytes = 2 * (2 * batch * kv_heads * keys * head_dim)
                row["gbps"] = f"{nbytes / median / 1e6:.4g}"
            if relative_error is not None:
                row["error"] = f"{relative_error:.3g}"
            text += f"{median:10.4f} ms {row['tflops']:>8} TFLOP/s {row.get('gbps', ''):>6}"
        else:
            text += f"  {note}"
        self.writer.writerow(row)
        self.file.flush()
        self.rows.append(row)
        print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", default="peers.csv")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seconds", type=float, default=0.5, help="for all peers of a case")
    parser.add_argument("--quick", action="store_true", help="a few cases only")
    arguments = parser.parse_args()
    ops = load()
    timer = Timer(arguments.seconds)
    with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
        table = Table(file)
        for family in arguments.families.split(","):
            for case in FAMILIES[family](ops, arguments.quick):
                measure(case, timer, table.write)
    refused = [r for r in table.rows if r["peer"] == "attnlab" and r["note"]]
    print(f"{len(table.rows)} rows in {arguments.csv}; attnlab refused {len(refused)}")
    sys.exit(1 if refused or not table.rows else 0)


if __name__ == "__main__":
    main()
