"""The attnlab operators as Python sees them.

Run with the path of the library in the environment, under a Python whose torch is the one that the
library was built with:

    ATTNLAB_LIBRARY=build/lib/libattnlab.so python -m unittest tests/python/test_operators.py

ATTNLAB_DEVICE=cuda runs all of it on a GPU (libattnlab_cuda.so lies beside the library).
"""

import math
import os
import unittest

import torch
import torch.nn.functional as F

LIBRARY = os.environ.get("ATTNLAB_LIBRARY", "")
if not LIBRARY:
    raise RuntimeError("ATTNLAB_LIBRARY is not set: give the path of libattnlab.so")
torch.ops.load_library(LIBRARY)
DEVICE = os.environ.get("ATTNLAB_DEVICE", "cpu")
if DEVICE == "cuda":
    torch.ops.load_library(os.path.join(os.path.dirname(LIBRARY), "libattnlab_cuda.so"))
torch.set_default_device(DEVICE)
# Tensors are tiny: more threads only wait for each other.
torch.set_num_threads(1)

ops = torch.ops.attnlab


def qkv(batch=2, heads=2, kv_heads=None, seqlen_q=7, seqlen_k=None, head_dim=4, head_dim_v=None,
        dtype=torch.float64, grad=True, seed=0):
    """Random q, k, v; what is not given follows the other sizes."""
    generator = torch.Generator("cpu").manual_seed(seed)
    kv_heads = heads if kv_heads is None else kv_heads
    seqlen_k = seqlen_q if seqlen_k is None else seqlen_k
    head_dim_v = head_dim if head_dim_v is None else head_dim_v
    shapes = [(batch, heads, seqlen_q, head_dim), (batch, kv_heads, seqlen_k, head_dim),
              (batch, kv_heads, seqlen_k, head_dim_v)]
    return [torch.randn(s, generator=generator, dtype=torch.float64, device="cpu")
            .to(DEVICE, dtype).requires_grad_(grad) for s in shapes]


def slopes(*shape):
    return torch.linspace(0.05, 0.7, math.prod(shape), dtype=torch.float32).reshape(shape)


def log_decay(*shape, grad=True):
    return (-torch.linspace(0.01, 0.9, math.prod(shape))).reshape(shape).requires_grad_(grad)


# Arguments of attention and naive_attention: (sizes, keywords).
ATTENTION_CASES = {
    "plain": ({}, {}),
    "gqa_causal": ({"heads": 4, "kv_heads": 2, "head_dim_v": 3}, {"causal": True}),
    "cross_window": ({"seqlen_q": 5, "seqlen_k": 9}, {"window_left": 2, "window_right": 1}),
    "rows_without_keys": ({"seqlen_q": 8, "seqlen_k": 5}, {"causal": True}),
    "softcap_scale": ({}, {"softcap": 1.3, "scale": 0.8}),
    "alibi": ({"kv_heads": 1}, {"causal": True, "alibi_slopes": slopes(2)}),
    "alibi_per_item": ({}, {"softcap": 2.0, "window_left": 3, "alibi_slopes": slopes(2, 2)}),
}

LINEAR_CASES = {
    "elu": ({}, {}),
    "relu_gqa": ({"heads": 4, "kv_heads": 2, "head_dim_v": 3}, {"feature_map": "relu"}),
    "identity_unnormalised": ({}, {"feature_map": "identity", "normalize": False}),
    "cross": ({"seqlen_q": 4, "seqlen_k": 9}, {"causal": False}),
    "decay_per_head": ({}, {"log_decay": (2, 2)}),
    "decay_per_token": ({"kv_heads": 1}, {"log_decay": (2, 2, 7)}),
}

DECODE_CASES = {
    "one_query": ({"seqlen_q": 1, "seqlen_k": 9}, {}),
    "gqa_lengths": ({"seqlen_q": 3, "seqlen_k": 9, "heads": 4, "kv_heads": 2},
                    {"seqlens": torch.tensor([9, 2])}),
    "int32_lengths": ({"seqlen_q": 2, "seqlen_k": 6}, {"seqlens": torch.tensor([0, 6]).int(),
                                                       "scale": 0.3}),
}


def linear_keywords(keywords, grad=True):
    """Fresh leaves for log_decay, which the cases give by shape."""
    result = dict(keywords)
    if "log_decay" in result:
        result["log_decay"] = log_decay(*result["log_decay"], grad=grad)
    return result


class OpCheck(unittest.TestCase):
    """Schema, autograd registration, fake tensors and AOT dispatch with dynamic shapes."""

    def check(self, op, args, kwargs):
        result = torch.library.opcheck(op, tuple(args), kwargs)
        self.assertEqual(set(result), {"test_schema", "test_autograd_registration",
                                       "test_faketensor", "test_aot_dispatch_dynamic"})
        self.assertEqual(set(result.values()), {"SUCCESS"})

    def test_attention(self):
        for name, (sizes, keywords) in ATTENTION_CASES.items():
            for op in (ops.attention.default, ops.naive_attention.default):
                with self.subTest(op=op.name(), case=name):
                    self.check(op, qkv(**sizes), keywords)

    def test_other_dtypes(self):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for op in (ops.attention.default, ops.naive_attention.default,
                       ops.linear_attention.default):
                with self.subTest(op=op.name(), dtype=dtype):
                    self.check(op, qkv(dtype=dtype), {})
        self.check(ops.decode_attention.default, qkv(seqlen_q=1, seqlen_k=5, dtype=torch.float16),
                   {})

    def test_strided(self):
        tensors = [t.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
                   for t in qkv()]
        for op in (ops.attention.default, ops.naive_attention.default,
                   ops.linear_attention.default):
            with self.subTest(op=op.name()):
                self.check(op, tensors, {})

    def test_linear_attention(self):
        for name, (sizes, keywords) in LINEAR_CASES.items():
            with self.subTest(case=name):
                self.check(ops.linear_attention.default, qkv(**sizes), linear_keywords(keywords))

    def test_decode_attention(self):
        for name, (sizes, keywords) in DECODE_CASES.items():
            with self.subTest(case=name):
                self.check(ops.decode_attention.default, qkv(**sizes), keywords)

    def test_backward_operators(self):
        keywords = {"causal": True, "softcap": 1.5, "alibi_slopes": slopes(2)}
        q, k, v = qkv(grad=False)
        out, lse = ops.attention(q, k, v, **keywords)
        grad = torch.ones_like(out)
        self.check(ops.attention_backward.default, (grad, q, k, v, out, lse), keywords)
        out, weights = ops.naive_attention(q, k, v, **keywords)
        for grads in ((grad, None), (None, weights), (grad, weights)):
            self.check(ops.naive_attention_backward.default, (*grads, q, k, v, weights), keywords)
        for decay in (None, log_decay(2, 2, grad=False), log_decay(2, 2, 7, grad=False)):
            out = ops.linear_attention(q, k, v, log_decay=decay)
            self.check(ops.linear_attention_backward.default, (grad, q, k, v, out),
                       {"log_decay": decay})
        out, lse = ops.decode_attention(q, k, v)
        self.check(ops.decode_attention_backward.default, (grad, q, k, v, out, lse),
                   {"seqlens": torch.tensor([7, 3])})


class GradCheck(unittest.TestCase):
    """Gradients against finite differences in float64."""

    def test_attention(self):
        for name, (sizes, keywords) in ATTENTION_CASES.items():
            with self.subTest(case=name):
                self.assertTrue(torch.autograd.gradcheck(
                    lambda q, k, v: ops.attention(q, k, v, **keywords)[0], qkv(**sizes)))

    def test_naive_attention_with_weights(self):
        for name, (sizes, keywords) in ATTENTION_CASES.items():
            with self.subTest(case=name):
                self.assertTrue(torch.autograd.gradcheck(
                    lambda q, k, v: ops.naive_attention(q, k, v, **keywords), qkv(**sizes)))

    def test_decode_attention(self):
        for name, (sizes, keywords) in DECODE_CASES.items():
            with self.subTest(case=name):
                self.assertTrue(torch.autograd.gradcheck(
                    lambda q, k, v: ops.decode_attention(q, k, v, **keywords)[0], qkv(**sizes)))

    def test_linear_attention(self):
        for name, (sizes, keywords) in LINEAR_CASES.items():
            fixed = linear_keywords(keywords, grad=False)
            with self.subTest(case=name):
                self.assertTrue(torch.autograd.gradcheck(
                    lambda q, k, v: ops.linear_attention(q, k, v, **fixed), qkv(**sizes)))

    def test_log_decay(self):
        # log_decay is float32, so steps are large and the tolerance follows from its epsilon.
        q, k, v = qkv(grad=False)
        for shape in ((2, 2), (2, 2, 7)):
            with self.subTest(shape=shape):
                decay = (log_decay(*shape, grad=False) - 0.05).requires_grad_()
                ops.linear_attention(q, k, v, log_decay=decay).square().sum().backward()
                for index in [(0, 0), (1, 1)]:
                    at = index if len(shape) == 2 else (*index, 4)
                    up, down = decay.detach().clone(), decay.detach().clone()
                    up[at] += 2.0 ** -9
                    down[at] -= 2.0 ** -9
                    losses = [ops.linear_attention(q, k, v, log_decay=moved).square().sum()
                              for moved in (up, down)]
                    numeric = (losses[0] - losses[1]) / (up[at].double() - down[at].double())
                    self.assertAlmostEqual(decay.grad[at].item(), numeric.item(),
                                           delta=1e-3 * max(1.0, abs(numeric.item())))

    def test_second_derivative_is_refused(self):
        q, k, v = qkv()
        for op in (ops.attention, ops.naive_attention, ops.linear_attention):
            out = op(q, k, v)
            out = out[0] if isinstance(out, tuple) else out
            grad, = torch.autograd.grad(out.square().sum(), q, create_graph=True)
            with self.assertRaisesRegex(RuntimeError, "second derivatives are not implemented"):
                grad.sum().backward()


class AgainstTorch(unittest.TestCase):
    """Where scaled_dot_product_attention means the same, the results are the same."""

    TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2,
                 torch.float16: 4e-3}

    def test_scaled_dot_product_attention(self):
        for dtype, tolerance in self.TOLERANCE.items():
            for causal in (False, True):
                for op in (ops.attention, ops.naive_attention):
                    with self.subTest(dtype=dtype, causal=causal, op=str(op)):
                        sizes = {"heads": 4, "kv_heads": 2, "seqlen_q": 33, "head_dim": 16}
                        a = qkv(**sizes, dtype=dtype)
                        b = qkv(**sizes, dtype=dtype)
                        out = op(*a, causal=causal)[0]
                        expected = F.scaled_dot_product_attention(*b, is_causal=causal,
                                                                  enable_gqa=True)
                        torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)
                        out.sum().backward()
                        expected.sum().backward()
                        for x, y in zip(a, b):
                            torch.testing.assert_close(x.grad, y.grad, rtol=4 * tolerance,
                                                       atol=4 * tolerance)

    def test_boolean_mask_and_lse(self):
        q, k, v = qkv(seqlen_q=10, seqlen_k=14, grad=False)
        distance = torch.arange(14) - (torch.arange(10)[:, None] + 4)
        mask = (distance <= 2) & (distance >= -3)
        out, lse = ops.attention(q, k, v, window_left=3, window_right=2)
        torch.testing.assert_close(out, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
        scores = (q @ k.mT / 2).masked_fill(~mask, -math.inf)
        torch.testing.assert_close(lse, scores.logsumexp(-1))

    def test_decode(self):
        q, k, v = qkv(seqlen_q=1, seqlen_k=20, grad=False)
        out, _ = ops.decode_attention(q, k, v, seqlens=torch.tensor([20, 11]))
        torch.testing.assert_close(out[:1], F.scaled_dot_product_attention(q[:1], k[:1], v[:1]))
        torch.testing.assert_close(out[1:], F.scaled_dot_product_attention(
            q[1:], k[1:, :, :11], v[1:, :, :11]))


class Module(torch.nn.Module):
    """Every operator in one module."""

    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(16, 48)

    def forward(self, x):
        heads = self.qkv(x).view(x.shape[0], x.shape[1], 3, 2, 8).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind(0)
        a, _ = ops.attention(q, k, v, causal=True, window_left=5)
        b, weights = ops.naive_attention(q, k, v, softcap=3.0)
        c = ops.linear_attention(q, k, v)
        d, _ = ops.decode_attention(q[:, :, -2:], k, v)
        return (a + b + c).sum((1, 3)) + d.sum() + weights.square().sum()


class Compile(unittest.TestCase):
    def test_compile_with_gradients_and_changing_shapes(self):
        torch.manual_seed(0)
        module = Module()
        compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
        for batch, seqlen in ((2, 6), (3, 11), (1, 17)):
            x = torch.randn(batch, seqlen, 16)
            module.zero_grad()
            module(x).square().mean().backward()
            expected_grad = module.qkv.weight.grad.clone()
            expected = module(x)
            module.zero_grad()
            out = compiled(x)
            out.square().mean().backward()
            torch.testing.assert_close(out, expected)
            torch.testing.assert_close(module.qkv.weight.grad, expected_grad)

    def test_export_with_dynamic_sizes(self):
        torch.manual_seed(0)
        module = Module()
        sizes = {0: torch.export.Dim("batch", min=1, max=64),
                 1: torch.export.Dim("seqlen", min=3, max=512)}
        program = torch.export.export(module, (torch.randn(2, 6, 16),), dynamic_shapes=(sizes,))
        names = {node.target.name() for node in program.graph.nodes
                 if isinstance(node.target, torch._ops.OpOverload)}
        for name in ("attention", "naive_attention", "linear_attention", "decode_attention"):
            self.assertIn(f"attnlab::{name}", names)
        x = torch.randn(5, 23, 16)
        torch.testing.assert_close(program.module()(x), module(x))


class Refusals(unittest.TestCase):
    """The same refusal for real and for meta tensors; its message reaches Python whole."""

    def test_messages(self):
        q, k, v = qkv(grad=False)
        wide = torch.zeros(1, 1, 2, 300)
        cases = [
            (lambda t: ops.attention(t(wide), t(wide), t(wide)),
             r"\[attention\] head_dim 300 is not supported: it must be from 1 to 256"),
            (lambda t: ops.naive_attention(t(q), t(k.float()), t(v)), "k has dtype Float"),
            (lambda t: ops.attention(t(q), t(k), t(v), window_left=-3), "window_left is -3"),
            (lambda t: ops.linear_attention(t(q), t(k[:, :, 1:]), t(v[:, :, 1:])),
             "causal needs as many queries as keys"),
            (lambda t: ops.decode_attention(t(q), t(k), t(v), seqlens=t(torch.tensor([1.0, 2.0]))),
             "seqlens has dtype Float"),
        ]
        for place in (lambda t: t, lambda t: t.to("meta")):
            for call, message in cases:
                with self.subTest(message=message):
                    with self.assertRaisesRegex(RuntimeError, message):
                        call(place)


if __name__ == "__main__":
    unittest.main()
