"""The operators of operators.rhai in PyTorch: of each the better of NCHW and channels_last, least milliseconds of many runs.

python operators.py [--threads 2] [--seconds 0.12]
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=0.12)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)


def least(run):
    run()
    best, runs, spent = float("inf"), 0, 0.0
    while spent < args.seconds or runs < 5:
        begun = time.perf_counter()
        run()
        took = time.perf_counter() - begun
        best = min(best, took)
        spent += min(took, args.seconds / 5)  # `compare.py` may have put it to sleep in between
        runs += 1
    return best


def report(name, runs):
    print(f"{name}\t{min(least(run) for run in runs) * 1000}", flush=True)


def layouts(x):
    return [x, x.contiguous(memory_format=torch.channels_last)] if x.dim() == 4 else [x]


def of_input(name, x, f, which=None):
    which = which or layouts(x)

    def forward(x):
        with torch.no_grad():
            f(x)

    report(name + "_fwd", [lambda x=x: forward(x) for x in which])
    tracked = [x.detach().requires_grad_() for x in which]
    report(name + "_dx", [lambda x=x: torch.autograd.grad(f(x).sum(), x) for x in tracked])


def of_layer(name, shape, layer):
    x = torch.randn(shape)
    parameters = list(layer.parameters())
    for p in parameters:
        p.requires_grad_(False)
    of_input(name, x, layer)
    if not parameters:
        return
    for p in parameters:
        p.requires_grad_(True)
    sgd = torch.optim.SGD(parameters, 1e-9)

    def step(x):
        sgd.zero_grad(set_to_none=True)
        layer(x).sum().backward()
        sgd.step()

    report(name + "_dw", [lambda x=x: step(x) for x in layouts(x)])


class Same(nn.Conv2d):
    """With TensorFlow's SAME padding, which for these shapes is `before` pixels above and left and the rest below."""

    def forward(self, x):
        size, kernel, stride = x.shape[2], self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        if total % 2:
            x, total = F.pad(x, (0, 1, 0, 1)), total - 1
        return F.conv2d(x, self.weight, self.bias, stride, total // 2)


for ci, size, co, kernel, stride in [
    (64, 32, 64, 3, 1), (64, 16, 64, 3, 1), (64, 8, 64, 3, 1), (64, 7, 64, 3, 1), (64, 4, 64, 3, 1),
    (128, 32, 128, 3, 1), (128, 16, 128, 3, 1), (128, 8, 128, 3, 1), (256, 16, 256, 3, 1), (256, 8, 256, 3, 1),
    (3, 32, 64, 3, 1), (64, 32, 3, 3, 1), (128, 16, 128, 1, 1), (256, 32, 256, 1, 1), (128, 32, 128, 3, 2), (64, 16, 128, 4, 2),
]:  # fmt: skip
    layer = Same(ci, co, kernel, stride)
    of_layer(f"conv{kernel}x{kernel}s{stride}_{ci}to{co}_{size}", (64, ci, size, size), layer)
of_layer("conv_transpose4x4s2_128to64_8", (64, 128, 8, 8), nn.ConvTranspose2d(128, 64, 4, 2, 1))
wide = (64, 128, 32, 32)
of_layer("batch_norm", wide, nn.BatchNorm2d(128))
of_layer("avg_pool2", wide, nn.AvgPool2d(2))
of_layer("upsample2", (64, 128, 16, 16), nn.Upsample(scale_factor=2))
for size in (256, 512, 1024):
    other = torch.randn(size, size)
    of_input(f"matmul_{size}", torch.randn(size, size), lambda x: x @ other)
other = torch.randn(64, 64, 256)
of_input("matmul_64x256x64x256", torch.randn(64, 256, 64), lambda x: x @ other)
of_input("softmax_4096x1024", torch.randn(4096, 1024), lambda x: x.softmax(-1))
x, row = torch.randn(wide), torch.randn(1, 128, 1, 1)
others = {layout.is_contiguous(): layout for layout in layouts(torch.randn(wide))}
same = lambda x: others[x.is_contiguous()]
of_input("relu", x, lambda x: x.relu())
of_input("leaky_relu", x, lambda x: F.leaky_relu(x, 0.2))
of_input("tanh", x, lambda x: x.tanh())
of_input("sigmoid", x, lambda x: x.sigmoid())
of_input("exp", x, lambda x: x.exp())
of_input("add", x, lambda x: x + same(x))
of_input("mul", x, lambda x: x * same(x))
of_input("scale", x, lambda x: x * 0.5)
of_input("mul_row", x, lambda x: x * row)
of_input("sum", x, lambda x: x.sum())
of_input("sum_023", x, lambda x: x.sum((0, 2, 3)))
of_input("mean_last", x, lambda x: x.mean(3))
of_input("max_last", x, lambda x: x.amax(3))
of_input("permute", x, lambda x: x.permute(0, 2, 3, 1).reshape(-1, 128), [x])
report("normal_1M", [lambda: torch.randn(1000, 1000)])
report("normal_64x128", [lambda: torch.randn(64, 128)])
for rows, columns in [(128, 16384), (8192, 256)]:
    other = torch.randn(rows, columns)
    of_input(f"matmul_64x{rows}x{columns}", torch.randn(64, rows), lambda x: x @ other)

rows = torch.arange(4096) * 7919 % 1000
of_input("embedding", torch.randn(1000, 1024), lambda table: F.embedding(rows, table))
net = nn.Sequential(*(nn.Linear(298, 298) for _ in range(90)))
adams = [torch.optim.Adam(net.parameters(), 1e-9, fused=fused) for fused in (False, True)]
row = torch.randn(1, 298)


def adam_step(adam):
    adam.zero_grad(set_to_none=True)
    net(row).sum().backward()
    adam.step()


report("adam_step", [lambda adam=adam: adam_step(adam) for adam in adams])
