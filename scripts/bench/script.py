"""The calls of script.rhai from Python into PyTorch: least microseconds for one call of 1,000, inside a function."""

import time

import torch

torch.set_num_threads(2)
a, b, m, n = torch.tensor([1.5]), torch.tensor([0.5]), torch.randn(4, 4), 1000
x = a.clone().requires_grad_()


def nothing(a, b, n):
    for _ in range(n):
        c = a


def add(a, b, n):
    for _ in range(n):
        c = a + b


def matmul(a, b, n):
    for _ in range(n):
        c = a.matmul(b)


def attribute(a, b, n):
    for _ in range(n):
        c = a.dtype


def backward(a, b, n):
    for _ in range(n):
        g = torch.autograd.grad((a * b).sum(), a)


def of_globals():
    for _ in range(n):
        c = a + b


def least(name, calls, run):
    best = float("inf")
    for _ in range(30):
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    print(f"{name}\t{best * 1e6 / calls}", flush=True)


least("nothing", n, lambda: nothing(a, b, n))
least("add", n, lambda: add(a, b, n))
least("matmul", n, lambda: matmul(m, m, n))
least("attribute", n, lambda: attribute(a, b, n))
least("backward", 100, lambda: backward(x, b, 100))
least("global", n, of_globals)
