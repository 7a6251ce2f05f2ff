"""Adversarial losses and penalties by PyTorch's own functions and its own second derivatives: losses.json.

    pip install torch numpy
    python tests/golden/losses.py > tests/golden/losses.json

Everything is computed in doubles. Inputs are made by integer arithmetic, and the random numbers of a penalty by a second
implementation of the generator (Philox 4x32-10 with named streams), so that tests/it/golden_methods.rs has the same.
"""

import json
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F
from twin import Stream, uniform

torch.set_default_dtype(torch.float64)


def spread(seed, *shape, low=-1.0, high=1.0):
    """Numbers from `low` to `high`, rounded to single precision as the other side has them."""
    values = uniform(seed, int(np.prod(shape))) * (high - low) + low
    return torch.tensor(values.astype(np.float32).astype(np.float64)).reshape(shape)


def zeros(x):
    return torch.zeros_like(x)


def ones(x):
    return torch.ones_like(x)


def entropy(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target)


LOSSES = {
    "hinge": (
        lambda r, f: F.relu(1 - r).mean() + F.relu(1 + f).mean(),
        lambda f: -f.mean(),
    ),
    "non_saturating": (
        lambda r, f: entropy(r, ones(r)) + entropy(f, zeros(f)),
        lambda f: entropy(f, ones(f)),
    ),
    "minimax": (
        lambda r, f: entropy(r, ones(r)) + entropy(f, zeros(f)),
        lambda f: -entropy(f, zeros(f)),
    ),
    "wasserstein": (
        lambda r, f: f.mean() - r.mean(),
        lambda f: -f.mean(),
    ),
    "least_squares": (
        lambda r, f: 0.5 * (F.mse_loss(r, ones(r)) + F.mse_loss(f, zeros(f))),
        lambda f: 0.5 * F.mse_loss(f, ones(f)),
    ),
    "least_squares_sigmoid": (
        lambda r, f: 0.5 * (F.mse_loss(r.sigmoid(), ones(r)) + F.mse_loss(f.sigmoid(), zeros(f))),
        lambda f: 0.5 * F.mse_loss(f.sigmoid(), ones(f)),
    ),
}


def losses():
    out = {}
    for name, (discriminator, generator) in LOSSES.items():
        real = spread(21, 5, low=-3, high=3).requires_grad_()
        fake = spread(22, 5, low=-3, high=3).requires_grad_()
        d = discriminator(real, fake)
        slopes = torch.autograd.grad(d, [real, fake])
        g = generator(fake)
        out[name] = {
            "discriminator": d.item(),
            "real_slope": slopes[0].tolist(),
            "fake_slope": slopes[1].tolist(),
            "generator": g.item(),
            "generator_slope": torch.autograd.grad(g, fake)[0].tolist(),
        }
    return out


N, CLASSES = 4, 3
SHAPES = {
    "conv1.weight": (4, 2, 3, 3),
    "conv1.bias": (4,),
    "conv2.weight": (3, 4, 3, 3),
    "conv2.bias": (3,),
    "linear.weight": (1, 27),
    "projection.weight": (CLASSES, 27),
}


def discriminator(params, x, labels):
    """Two convolutions, a linear map, and the inner product with the embedding of the label."""
    h = F.leaky_relu(F.conv2d(x, params["conv1.weight"], params["conv1.bias"], padding=1), 0.1)
    h = torch.tanh(F.conv2d(h, params["conv2.weight"], params["conv2.bias"], stride=2, padding=1)).flatten(1)
    return (h @ params["linear.weight"].T)[:, 0] + (h * params["projection.weight"][labels]).sum(1)


def slope(params, x, labels):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(discriminator(params, x, labels).sum(), x, create_graph=True)
    return g.flatten(1)


def towards_one(g):
    return ((torch.sqrt(1e-4 + (g**2).sum(1)) - 1) ** 2).mean()


def penalty(name, params, real, fake, real_labels, fake_labels):
    rng = Stream(7).stream("penalty")
    line = lambda: real + torch.tensor(rng.uniforms(N)).reshape(N, 1, 1, 1) * (fake - real)
    if name == "wgan_gp":
        return towards_one(slope(params, line(), real_labels))
    if name == "dragan":
        noise = torch.tensor(rng.uniforms(real.numel())).reshape(real.shape) - 0.5
        x = (real + real.std(unbiased=False) * noise).clamp(0, 1)
        return towards_one(slope(params, x, real_labels))
    if name == "dragan_v2":
        u = torch.tensor(rng.uniforms(real.numel())).reshape(real.shape)
        alpha = torch.tensor(rng.uniforms(N)).reshape(N, 1, 1, 1)
        perturbed = real + 0.5 * real.std(unbiased=False) * u
        x = (real + alpha * (perturbed - real)).detach().requires_grad_()
        probability = torch.sigmoid(discriminator(params, x, real_labels))
        (g,) = torch.autograd.grad(probability.sum(), x, create_graph=True)
        return towards_one(g.flatten(1))
    if name == "r1":
        return 0.5 * slope(params, real, real_labels).norm(dim=1).pow(2).mean()
    if name == "r2":
        return 0.5 * slope(params, fake, fake_labels).norm(dim=1).pow(2).mean()
    if name == "zero_centred":
        return slope(params, line(), real_labels).norm(dim=1).pow(2).mean()
    assert name == "l2"
    return torch.stack([0.5 * p.pow(2).sum() for n, p in params.items() if n.endswith("weight")]).mean()


def penalties():
    out = {}
    for name in ["wgan_gp", "dragan", "dragan_v2", "r1", "r2", "zero_centred", "l2"]:
        params = {n: spread(30 + i, *shape).requires_grad_() for i, (n, shape) in enumerate(SHAPES.items())}
        real, fake = spread(40, N, 2, 6, 6, low=0), spread(41, N, 2, 6, 6, low=0)
        real_labels, fake_labels = torch.tensor([0, 1, 2, 1]), torch.tensor([2, 2, 0, 1])
        value = penalty(name, params, real, fake, real_labels, fake_labels)
        hinge = LOSSES["hinge"][0](
            discriminator(params, real, real_labels), discriminator(params, fake, fake_labels)
        )
        grads = torch.autograd.grad(hinge + 10.0 * value, list(params.values()))
        out[name] = {
            "value": value.item(),
            "gradients": {n: [float(f"{v:.9g}") for v in g.flatten().tolist()] for n, g in zip(params, grads)},
        }
    return out


json.dump(
    {
        "made_by": "python tests/golden/losses.py > tests/golden/losses.json",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "losses": losses(),
        "penalties": penalties(),
    },
    sys.stdout,
    indent=None,
)
print()
