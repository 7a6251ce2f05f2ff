"""Values, gradients and gradients of gradients of every operator, by PyTorch in double precision.

Writes operators.json beside this file. Run: python operators.py   (pip install torch numpy)

For each case y = f(inputs): `output` is y, `first` the gradients of s = sum(w * y), and `second` the gradients of
h = sum over inputs of sum(v * first), for fixed random w and v. Tolerance in the test: 1e-9 relative to the largest
value of the array, which double precision with a few hundred additions keeps with room to spare.
"""
import json
import pathlib

import numpy
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
rng = numpy.random.RandomState(7)


def normal(*shape):
    return torch.tensor(rng.randn(*shape))


def positive(*shape):
    return torch.tensor(0.5 + rng.rand(*shape))


def apart(*shape):
    """Values that differ from each other and from 0 by more than a finite difference can bridge."""
    n = int(numpy.prod(shape))
    values = (rng.permutation(n) - n / 2 + 0.25) * (4.0 / n)
    return torch.tensor(values.reshape(shape))


def same(n, k, s):
    total = max((-(-n // s) - 1) * s + k - n, 0)
    return total // 2, total - total // 2


def conv_same(x, w, b, s):
    v, h = same(x.shape[2], w.shape[2], s), same(x.shape[3], w.shape[3], s)
    return F.conv2d(F.pad(x, (*h, *v)), w, b, stride=s)


def conv_transpose_same(x, w, b, s):
    full = F.conv_transpose2d(x, w, None, stride=s)
    size = [x.shape[2] * s, x.shape[3] * s]
    v, h = same(size[0], w.shape[2], s), same(size[1], w.shape[3], s)
    full = F.pad(full, (0, max(0, h[0] + size[1] - full.shape[3]), 0, max(0, v[0] + size[0] - full.shape[2])))
    return full[:, :, v[0] : v[0] + size[0], h[0] : h[0] + size[1]] + b.reshape(1, -1, 1, 1)


def batch_norm(x, gamma, beta, act=lambda y: y):
    dims = [0] + list(range(2, x.dim()))
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    wide = lambda t: t.reshape(*(t.shape if t.dim() == 2 else (1, -1)), *[1] * (x.dim() - 2))
    return act((x - mean) / torch.sqrt(var + 1e-5) * wide(gamma) + wide(beta))


def layer_norm(x, gamma, beta):
    n = F.layer_norm(x, x.shape[1:], eps=1e-5)
    return n * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1)


def zeros_between(x):
    out = torch.zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3])
    out[:, :, ::2, ::2] = x
    return out


labels = torch.tensor([2, 0, 1])
targets = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
rows = torch.tensor([1, 3, 1, 0])
running = (torch.tensor([0.3, -0.2]), torch.tensor([0.8, 1.7]))

cases = {
    "add": ([normal(2, 3, 1), normal(3, 2)], lambda a, b: a + b),
    "sub": ([normal(3, 2), normal(2, 1, 2)], lambda a, b: a - b),
    "mul": ([normal(2, 3, 1), normal(3, 2)], lambda a, b: a * b),
    "div": ([normal(2, 3), positive(3)], lambda a, b: a / b),
    "maximum": ([apart(2, 3), -apart(2, 3) + 0.01], torch.maximum),
    "minimum": ([apart(2, 3), -apart(2, 3) + 0.01], torch.minimum),
    "affine": ([normal(5)], lambda x: 1.5 * x - 0.5),
    "exp": ([normal(5)], torch.exp),
    "log": ([positive(5)], torch.log),
    "sqrt": ([positive(5)], torch.sqrt),
    "abs": ([apart(6)], torch.abs),
    "pow": ([positive(5)], lambda x: x**1.7),
    "square": ([normal(5)], torch.square),
    "tanh": ([normal(5)], torch.tanh),
    "sigmoid": ([normal(5) * 3], torch.sigmoid),
    "softplus": ([normal(5) * 3], F.softplus),
    "relu": ([apart(6)], torch.relu),
    "leaky_relu": ([apart(6)], lambda x: F.leaky_relu(x, 0.2)),
    "silu": ([normal(5)], F.silu),
    "clamp": ([apart(8)], lambda x: x.clamp(-0.9, 0.9)),
    "reshape": ([normal(2, 6)], lambda x: x.reshape(3, 4)),
    "permute": ([normal(2, 3, 2)], lambda x: x.permute(2, 0, 1)),
    "narrow": ([normal(2, 5)], lambda x: x[:, 1:4]),
    "pad": ([normal(2, 3)], lambda x: F.pad(x, (1, 2))),
    "cat": ([normal(2, 3), normal(2, 2)], lambda a, b: torch.cat([a, b], 1)),
    "flip": ([normal(2, 3)], lambda x: x.flip(1)),
    "rotate90": ([normal(2, 1, 3, 3)], lambda x: torch.rot90(x, 1, (2, 3))),
    "broadcast_to": ([normal(3, 1)], lambda x: x.expand(2, 3, 4)),
    "sum": ([normal(2, 3, 2)], lambda x: x.sum((0, 2))),
    "mean": ([normal(2, 3, 2)], lambda x: x.mean()),
    "max": ([apart(2, 4)], lambda x: x.max(1).values),
    "min": ([apart(2, 4)], lambda x: x.min(0).values),
    "matmul": ([normal(3, 4), normal(4, 2)], torch.matmul),
    "matmul_batched": ([normal(2, 3, 4), normal(2, 4, 2)], torch.matmul),
    "matmul_shared": ([normal(2, 3, 4), normal(4, 2)], torch.matmul),
    "softmax": ([normal(2, 4)], lambda x: x.softmax(-1)),
    "log_softmax": ([normal(2, 4)], lambda x: x.log_softmax(-1)),
    "cross_entropy": ([normal(3, 3)], lambda x: F.cross_entropy(x, labels)),
    "soft_cross_entropy": ([normal(3, 3)], lambda x: F.cross_entropy(x, targets)),
    "select_rows": ([normal(4, 3)], lambda x: x[rows]),
    "conv3x3": ([normal(2, 2, 5, 4), normal(3, 2, 3, 3), normal(3)], lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    "conv3x3_relu": ([normal(2, 2, 5, 4), normal(3, 2, 3, 3), normal(3)], lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1))),
    "conv1x1": ([normal(2, 3, 3, 3), normal(2, 3, 1, 1), normal(2)], lambda x, w, b: F.conv2d(x, w, b)),
    "conv3x3_stride2_same": ([normal(1, 2, 6, 5), normal(2, 2, 3, 3), normal(2)], lambda x, w, b: conv_same(x, w, b, 2)),
    "conv4x4_stride2_same": ([normal(1, 2, 6, 6), normal(2, 2, 4, 4), normal(2)], lambda x, w, b: conv_same(x, w, b, 2)),
    "conv5x5_stride2_same": ([normal(1, 1, 6, 6), normal(2, 1, 5, 5), normal(2)], lambda x, w, b: conv_same(x, w, b, 2)),
    "conv1x7": ([normal(1, 2, 3, 8), normal(2, 2, 1, 7)], lambda x, w: F.conv2d(x, w, None, padding=(0, 3))),
    "conv_transpose4x4_stride2": ([normal(1, 2, 3, 3), normal(2, 3, 4, 4), normal(3)], lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1)),
    "conv_transpose5x5_stride2_same": ([normal(1, 2, 3, 2), normal(2, 2, 5, 5), normal(2)], lambda x, w, b: conv_transpose_same(x, w, b, 2)),
    "conv_transpose3x3_same": ([normal(1, 2, 3, 3), normal(2, 1, 3, 3), normal(1)], lambda x, w, b: conv_transpose_same(x, w, b, 1)),
    "avg_pool": ([normal(1, 2, 4, 5)], lambda x: F.avg_pool2d(x, 2)),
    "avg_pool3_stride2": ([normal(1, 2, 5, 6)], lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    "avg_pool3_counting": ([normal(1, 2, 5, 6)], lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=True)),
    "max_pool": ([apart(1, 2, 4, 4)], lambda x: F.max_pool2d(x, 2)),
    "max_pool3_stride2": ([apart(1, 2, 5, 6)], lambda x: F.max_pool2d(x, 3, 2, 1)),
    "upsample_nearest_twice_used": ([normal(1, 2, 2, 3)], lambda x: F.interpolate(x.square(), scale_factor=2) * F.interpolate(x, scale_factor=2)),
    "upsample_zeros": ([normal(1, 2, 2, 3)], zeros_between),
    "bilinear": ([normal(1, 2, 4, 3)], lambda x: F.interpolate(x, (7, 5), mode="bilinear", align_corners=False)),
    "bilinear_shrink": ([normal(1, 1, 7, 5)], lambda x: F.interpolate(x, (3, 4), mode="bilinear", align_corners=False)),
    "bilinear_corners": ([normal(1, 2, 4, 3)], lambda x: F.interpolate(x, (6, 5), mode="bilinear", align_corners=True)),
    "batch_norm": ([normal(3, 2, 2, 2), positive(2), normal(2)], batch_norm),
    "batch_norm_relu": ([normal(3, 2, 2, 2), positive(2), normal(2)], lambda *a: batch_norm(*a, act=torch.relu)),
    "batch_norm_leaky": ([normal(3, 2, 2, 2), positive(2), normal(2)], lambda *a: batch_norm(*a, act=lambda y: F.leaky_relu(y, 0.1))),
    "batch_norm_conditional": ([normal(3, 2, 2, 2), positive(3, 2), normal(3, 2)], batch_norm),
    "batch_norm_flat": ([normal(4, 3), positive(3), normal(3)], batch_norm),
    "batch_norm_given": ([normal(2, 2, 2, 2), positive(2), normal(2)], lambda x, g, b: F.batch_norm(x, *running, g, b, False, 0.1, 1e-5)),
    "layer_norm": ([normal(2, 3, 2, 2), positive(3), normal(3)], layer_norm),
}


def numbers(tensor):
    return {"dims": list(tensor.shape), "values": [float(v) for v in tensor.detach().reshape(-1)]}


def main():
    out = {"made_by": "python operators.py", "versions": {"torch": torch.__version__, "numpy": numpy.__version__}, "cases": {}}
    for name, (inputs, f) in cases.items():
        inputs = [x.clone().requires_grad_() for x in inputs]
        y = f(*inputs)
        w = normal(*y.shape)
        first = torch.autograd.grad((y * w).sum(), inputs, create_graph=True)
        v = [normal(*x.shape) for x in inputs]
        h = sum((g * d).sum() for g, d in zip(first, v))
        if h.requires_grad:
            second = torch.autograd.grad(h, inputs, allow_unused=True)
        else:
            second = [None] * len(inputs)
        second = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, second)]
        lists = {"inputs": inputs, "first": first, "v": v, "second": second}
        out["cases"][name] = {"output": numbers(y), "w": numbers(w)} | {k: [numbers(t) for t in ts] for k, ts in lists.items()}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")


main()
