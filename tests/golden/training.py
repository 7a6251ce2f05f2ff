"""Weights after steps of each optimiser, clipped gradients and learning rates, by PyTorch.

Writes training.json beside this file. Run: python training.py   (pip install torch)

Two parameters, w [3, 2] and b [2], begin at the values given and take five steps along the gradients of
sum_ij c_ij tanh(w_ij + s - 2) + sum_j d_j (b_j - s)^4, where s = 0, 1, 2, 3, 4 counts the steps; all in double precision.
Tolerance in the test: 1e-5 relative, since the steps there are in single precision.
"""
import json
import math
import pathlib

import torch

torch.set_default_dtype(torch.float64)
W = torch.tensor([[0.3, -0.7], [1.1, 0.2], [-1.4, 0.9]])
B = torch.tensor([0.5, -0.25])
C = torch.tensor([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]])
D = torch.tensor([0.01, -0.02])


def loss(w, b, step):
    return (C * torch.tanh(w + step - 2)).sum() + (D * (b - step) ** 4).sum()


def run(make, clip=None):
    w, b = W.clone().requires_grad_(), B.clone().requires_grad_()
    optimiser = make([w, b])
    after = []
    for step in range(5):
        optimiser.zero_grad()
        loss(w, b, step).backward()
        if clip:
            clip([w, b])
        optimiser.step()
        after.append([*w.detach().flatten().tolist(), *b.detach().tolist()])
    return after


def rates(make, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimiser)
    out = []
    for _ in range(steps):
        out.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return out


clip_norm, clip_value = torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_
optim, schedule = torch.optim, torch.optim.lr_scheduler
out = {
    "versions": {"torch": torch.__version__},
    "start": {"w": W.flatten().tolist(), "b": B.tolist()},
    "optimisers": [
        {"name": name, "options": options, "clip": clip, "after": run(make, how)}
        for name, options, make, clip, how in [
            ("adam", {"lr": 0.1, "betas": [0.5, 0.9]}, lambda p: optim.Adam(p, 0.1, (0.5, 0.9)), {}, None),
            ("adam", {"lr": 0.1, "weight_decay": 0.3}, lambda p: optim.Adam(p, 0.1, weight_decay=0.3), {}, None),
            ("adamw", {"lr": 0.1, "weight_decay": 0.3}, lambda p: optim.AdamW(p, 0.1, weight_decay=0.3), {}, None),
            ("sgd", {"lr": 0.1, "momentum": 0.8}, lambda p: optim.SGD(p, 0.1, momentum=0.8), {}, None),
            (
                "sgd",
                {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.2},
                lambda p: optim.SGD(p, 0.1, momentum=0.8, nesterov=True, weight_decay=0.2),
                {},
                None,
            ),
            (
                "rmsprop",
                {"lr": 0.1, "smoothing": 0.7, "epsilon": 0.01, "momentum": 0.6, "weight_decay": 0.2},
                lambda p: optim.RMSprop(p, 0.1, alpha=0.7, eps=0.01, momentum=0.6, weight_decay=0.2),
                {},
                None,
            ),
            ("sgd", {"lr": 0.1}, lambda p: optim.SGD(p, 0.1), {"norm": 1.5}, lambda p: clip_norm(p, 1.5)),
            ("sgd", {"lr": 0.1}, lambda p: optim.SGD(p, 0.1), {"value": 0.4}, lambda p: clip_value(p, 0.4)),
        ]
    ],
    "rates": {
        "linear": rates(lambda o: schedule.LinearLR(o, 1.0, 0.0, 20), 20),
        "cosine": rates(lambda o: schedule.CosineAnnealingLR(o, 20), 20),
        "steps": rates(lambda o: schedule.MultiStepLR(o, [14, 17]), 20),
        "warmup": rates(lambda o: schedule.LinearLR(o, 0.25, 1.0, 3), 20),
    },
}
assert all(math.isfinite(v) for case in out["optimisers"] for row in case["after"] for v in row)
path = pathlib.Path(__file__).with_name("training.json")
path.write_text(json.dumps(out, indent=1) + "\n")
print(path, path.stat().st_size)
