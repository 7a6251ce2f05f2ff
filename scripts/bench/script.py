"""The calls of script.rhai from Python into PyTorch: least microseconds for one call of 1,000."""

import time

import torch

torch.set_num_threads(2)
a, b, m, n = torch.tensor([1.5]), torch.tensor([0.5]), torch.randn(4, 4), 1000


def nothing():
    for _ in range(n):
        c = a


def add():
    for _ in range(n):
        c = a + b


def matmul():
    for _ in range(n):
        c = m.matmul(m)


def attribute():
    for _ in range(n):
        c = a.dtype


x = a.clone().requires_grad_()


def backward():
    for _ in range(n):
        g = torch.autograd.grad((x * b).sum(), x)


for function in (nothing, add, matmul, attribute, backward):
    best = float("inf")
    for _ in range(30 if function is not backward else 5):
        begun = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begun)
    print(f"{function.__name__}\t{best * 1e3}", flush=True)
