"""The attnlab operators on a CUDA device, and seeded inputs: shared by the scripts of this folder.

ATTNLAB_LIBRARY is the path of libattnlab.so; libattnlab_cuda.so lies beside it.
"""

import os
import sys

import torch


def load():
    """torch.ops.attnlab with the CUDA half loaded. Exits with 77 (not run) where there is no GPU."""
    library = os.environ.get("ATTNLAB_LIBRARY", "")
    if not library:
        sys.exit("ATTNLAB_LIBRARY is not set: give the path of libattnlab.so")
    if not torch.cuda.is_available():
        print("not run: torch.cuda.is_available() is false")
        sys.exit(77)
    torch.ops.load_library(library)
    torch.ops.load_library(os.path.join(os.path.dirname(library), "libattnlab_cuda.so"))
    return torch.ops.attnlab


def normal(seed, dtype, *sizes):
    """N(0, 1), the same numbers on every device, rounded once to `dtype`."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(sizes, generator=generator, device="cpu").to("cuda", dtype)


def qkv(dtype, batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v=None, seed=0):
    head_dim_v = head_dim if head_dim_v is None else head_dim_v
    return (normal(seed, dtype, batch, heads, seqlen_q, head_dim),
            normal(seed + 1, dtype, batch, kv_heads, seqlen_k, head_dim),
            normal(seed + 2, dtype, batch, kv_heads, seqlen_k, head_dim_v))


def outputs(result):
    """The tensors of a call as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]
