"""Whole training steps of `s3gan`, `s3gan_co` and `triple_gan` by PyTorch: steps.json.

    pip install torch numpy
    python tests/golden/steps.py > tests/golden/steps.json

Two steps of the generator with two of the discriminator before each, plain gradient descent, on twelve images of 8x8 in
three classes. Every weight begins at a number made from its name, and what is drawn comes from a second implementation of
the generator of random numbers, so that tests/it/golden_methods.rs takes the same steps. Everything is computed in
doubles here and in single precision there.
"""

import json
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F
from twin import Stream, uniform

torch.set_default_dtype(torch.float64)

SEED, BATCH, D_STEPS, STEPS, CLASSES, Z = 5, 4, 2, 2, 3, 6
G_RATE, D_RATE = 50.0, 0.5
IMAGES, SIDE = 12, 8


def fnv(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return value


def start(name, shape, shift=-0.5):
    values = (uniform(fnv(name), int(np.prod(shape))) + shift).astype(np.float32).astype(np.float64)
    return torch.tensor(values).reshape(shape)


class Network:
    """Parameters by name, made when first asked for, and the vectors of spectral norms."""

    def __init__(self, shapes, spectral):
        self.params = {name: start(name, shape).requires_grad_() for name, shape in shapes.items()}
        self.u = {}
        if spectral:
            for name, shape in shapes.items():
                if name.endswith("weight"):
                    columns = int(np.prod(shape[1:]))
                    self.u[name] = start(name[: -len("weight")] + "u", (1, min(shape[0], columns)), shift=0.5)

    def weight(self, name):
        """The weight over an estimate of its largest singular value, after one more power iteration."""
        weight = self.params[name]
        if name not in self.u:
            return weight
        matrix = weight.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        with torch.no_grad():
            v = F.normalize(self.u[name] @ matrix, eps=1e-20)
            u = F.normalize(v @ matrix.T, eps=1e-20)
            self.u[name] = u
        return weight / (u @ matrix @ v.T).squeeze()


def conv_names(n, prefix):
    return [f"{prefix}.conv{i + 1}" for i in range(n)]


G_WIDTHS = [8, 4, 2, 1, 1]
G_SHAPES = {"generator.linear.weight": (8, Z), "generator.linear.bias": (8,)}
for i, name in enumerate(conv_names(4, "generator")):
    k = 4 if i < 3 else 3
    G_SHAPES[f"{name}.weight"] = (G_WIDTHS[i], G_WIDTHS[i + 1], k, k)
    G_SHAPES[f"{name}.bias"] = (G_WIDTHS[i + 1],)
for i in range(4):
    for part in ["gamma", "beta"]:
        G_SHAPES[f"generator.norm{i}.{part}.weight"] = (G_WIDTHS[i], CLASSES)

D_WIDTHS = [1, 1, 2, 2, 4, 4, 8, 8]
D_SHAPES = {}
for i, name in enumerate(conv_names(7, "discriminator")):
    k = 4 if i % 2 else 3
    D_SHAPES[f"{name}.weight"] = (D_WIDTHS[i + 1], D_WIDTHS[i], k, k)
    D_SHAPES[f"{name}.bias"] = (D_WIDTHS[i + 1],)
HEADS = {"linear": 1, "rotation": 4, "predictor": CLASSES}
for head, outputs in HEADS.items():
    D_SHAPES[f"discriminator.{head}.weight"] = (outputs, 8)
    D_SHAPES[f"discriminator.{head}.bias"] = (outputs,)
D_SHAPES["discriminator.projection.weight"] = (CLASSES, 8)


def norm(g, i, x, y):
    gamma = 1 + y @ g.params[f"generator.norm{i}.gamma.weight"].T
    beta = y @ g.params[f"generator.norm{i}.beta.weight"].T
    x = F.batch_norm(x, None, None, training=True, eps=1e-5)
    shape = gamma.shape + (1,) * (x.dim() - 2)
    return F.relu(x * gamma.reshape(shape) + beta.reshape(shape))


def generate(g, z, y):
    x = F.linear(z, g.params["generator.linear.weight"], g.params["generator.linear.bias"])
    x = norm(g, 0, x, y).reshape(-1, 8, 1, 1)
    for i, name in enumerate(conv_names(4, "generator")):
        stride = 2 if i < 3 else 1
        x = F.conv_transpose2d(x, g.params[f"{name}.weight"], g.params[f"{name}.bias"], stride=stride, padding=1)
        if i < 3:
            x = norm(g, i + 1, x, y)
    return (torch.tanh(x) + 1) / 2


def features(d, x):
    x = 2 * x - 1
    for i, name in enumerate(conv_names(7, "discriminator")):
        x = F.conv2d(x, d.weight(f"{name}.weight"), d.params[f"{name}.bias"], stride=2 if i % 2 else 1, padding=1)
        x = F.leaky_relu(x, 0.1)
    return x.flatten(1)


def head(d, name, h):
    return F.linear(h, d.weight(f"discriminator.{name}.weight"), d.params[f"discriminator.{name}.bias"])


def judge(d, h, y):
    return head(d, "linear", h)[:, 0] + ((y @ d.weight("discriminator.projection.weight")) * h).sum(1)


def turned(x):
    return torch.cat([torch.rot90(x, k, [2, 3]) for k in (1, 2, 3)])


def descend(network, loss, rate):
    names = [n for n in network.params]
    grads = torch.autograd.grad(loss, [network.params[n] for n in names], allow_unused=True)
    with torch.no_grad():
        for name, grad in zip(names, grads):
            if grad is not None:
                network.params[name] -= rate * grad


def run(predictor, penalty_weight):
    # Labels of the images: 0, 1, 2, 0, ... ; with a predictor only those of the first six are known.
    pixels = np.floor(uniform(77, IMAGES * SIDE * SIDE) * 256)
    images = torch.tensor(pixels.reshape(IMAGES, 1, SIDE, SIDE) / 255)
    known = [i % CLASSES if not predictor or i < 6 else None for i in range(IMAGES)]
    d_shapes = {n: s for n, s in D_SHAPES.items() if predictor or "predictor" not in n}
    g, d = Network(G_SHAPES, False), Network(d_shapes, True)
    gan = Stream(SEED).stream("gan")
    order = Stream(SEED).stream("data::batches").stream("order").at
    told = []
    for step in range(STEPS):
        for sub in range(D_STEPS):
            at = step * D_STEPS + sub
            per_epoch = IMAGES // BATCH
            begin = at % per_epoch * BATCH
            picked = order(at // per_epoch).permutation(IMAGES)[begin : begin + BATCH]
            real = images[picked]
            y = torch.zeros(BATCH, CLASSES)
            for row, index in enumerate(picked):
                if known[index] is not None:
                    y[row, known[index]] = 1
            z = torch.tensor(gan.stream("z").at(at).normals(BATCH * Z)).reshape(BATCH, Z)
            draws = gan.stream("labels").at(at)
            fake_y = F.one_hot(torch.tensor([draws.below(CLASSES) for _ in range(BATCH)]), CLASSES).double()
            fake = generate(g, z, fake_y)

            # The discriminator: the last image of the batch is also shown turned.
            h = features(d, torch.cat([real, fake.detach(), turned(real[-1:])]))
            real_h, fake_h, turned_h = h.split([BATCH, BATCH, 3])
            values, loss, target = {}, 0, y
            if predictor:
                c = head(d, "predictor", real_h)
                guess = F.one_hot(c.argmax(1), CLASSES).double()
                labelled = y.sum(1) > 0.5
                target = torch.where(labelled[:, None], y, guess)
                class_loss = F.cross_entropy(c[labelled], y[labelled].argmax(1))
                values["class_loss"], values["labelled"] = class_loss.item(), labelled.double().mean().item()
                loss = loss + class_loss
            r = head(d, "rotation", torch.cat([real_h[-1:], turned_h]))
            rotation = F.cross_entropy(r, torch.arange(4))
            values["d_rotation"] = rotation.item()
            loss = loss + rotation
            logits = judge(d, torch.cat([real_h, fake_h]), torch.cat([target, fake_y]))
            adversarial = F.relu(1 - logits[:BATCH]).mean() + F.relu(1 + logits[BATCH:]).mean()
            values["d_loss"] = adversarial.item()
            loss = loss + adversarial
            if penalty_weight:
                t = torch.tensor(gan.stream("penalty").at(at).uniforms(BATCH)).reshape(BATCH, 1, 1, 1)
                x = (real + t * (fake.detach() - real)).requires_grad_()
                (slope,) = torch.autograd.grad(judge(d, features(d, x), target).sum(), x, create_graph=True)
                size = torch.sqrt(1e-4 + slope.pow(2).sum([1, 2, 3]))
                penalty = (size - 1).pow(2).mean()
                values["penalty"] = penalty.item()
                loss = loss + penalty_weight * penalty
            descend(d, loss, D_RATE)

        # The generator, on the fakes of the last discriminator step.
        h = features(d, torch.cat([fake, turned(fake[-1:])]))
        logits = judge(d, h[:BATCH], fake_y)
        r = head(d, "rotation", torch.cat([h[BATCH - 1 : BATCH], h[BATCH:]]))
        rotation = F.cross_entropy(r, torch.arange(4))
        values["g_loss"], values["g_rotation"] = -logits.mean().item(), rotation.item()
        descend(g, -logits.mean() + 0.2 * rotation, G_RATE)
        told.append(values)
    shown = ["discriminator.conv1.weight", "discriminator.conv5.weight", "discriminator.linear.weight"]
    shown += ["discriminator.projection.weight", "discriminator.rotation.weight"]
    shown += ["discriminator.predictor.weight"] if predictor else []
    shown += ["generator.linear.weight", "generator.conv2.weight", "generator.norm2.gamma.weight"]
    params = {**g.params, **d.params}
    changes = {
        name: [float(f"{v:.8g}") for v in (params[name].detach() - start(name, params[name].shape)).flatten().tolist()]
        for name in shown
    }
    return {"values": told, "changes": changes}


C_RATE, C_SHARE, C_ADVERSARIAL, C_FAKE, C_FAKE_START = 0.05, 0.3, 0.7, 0.6, 1
C_WIDTHS = [16, 16, 32, 64]
C_SHAPES = {"stem.weight": (16, 1, 3, 3), "head.weight": (CLASSES, 64), "head.bias": (CLASSES,)}
C_SHAPES["norm.gamma"] = C_SHAPES["norm.beta"] = (64,)
for i, (inputs, outputs) in enumerate(zip(C_WIDTHS, C_WIDTHS[1:])):
    C_SHAPES[f"block{i + 1}.conv1.weight"] = (outputs, inputs, 3, 3)
    C_SHAPES[f"block{i + 1}.conv2.weight"] = (outputs, outputs, 3, 3)
    C_SHAPES[f"block{i + 1}.shortcut.weight"] = (outputs, inputs, 1, 1)
    for part in ["gamma", "beta"]:
        C_SHAPES[f"block{i + 1}.norm1.{part}"], C_SHAPES[f"block{i + 1}.norm2.{part}"] = (inputs,), (outputs,)


class Running:
    """The moving averages of batch norms, by name; they move only where `advance` says so."""

    def __init__(self):
        self.values = {}

    def norm(self, c, name, x, advance):
        if advance:
            with torch.no_grad():
                mean, variance = x.mean([0, 2, 3]), x.var([0, 2, 3], unbiased=False)
                old = self.values.get(name, (torch.zeros_like(mean), torch.ones_like(variance)))
                self.values[name] = (0.9 * old[0] + 0.1 * mean, 0.9 * old[1] + 0.1 * variance)
        y = F.batch_norm(x, None, None, c.params[f"{name}.gamma"], c.params[f"{name}.beta"], training=True, eps=1e-5)
        return F.relu(y)


def same(x, weight, stride):
    """A convolution with TensorFlow's SAME padding: the odd pixel comes after."""
    k, (h, w) = weight.shape[-1], x.shape[2:]
    pads = [max((-(-size // stride) - 1) * stride + k - size, 0) for size in (w, h)]
    return F.conv2d(F.pad(x, [pads[0] // 2, pads[0] - pads[0] // 2, pads[1] // 2, pads[1] - pads[1] // 2]), weight, stride=stride)


def classify(c, running, x, advance):
    x = same(2 * x - 1, c.params["stem.weight"], 1)
    for i in (1, 2, 3):
        normal = running.norm(c, f"block{i}.norm1", x, advance)
        inner = running.norm(c, f"block{i}.norm2", same(normal, c.params[f"block{i}.conv1.weight"], 2), advance)
        shortcut = same(normal, c.params[f"block{i}.shortcut.weight"], 2)
        x = same(inner, c.params[f"block{i}.conv2.weight"], 1) + shortcut
    h = running.norm(c, "norm", x, advance).mean([2, 3])
    return F.linear(h, c.params["head.weight"], c.params["head.bias"])


def hinge(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def triple():
    pixels = np.floor(uniform(77, IMAGES * SIDE * SIDE) * 256)
    images = torch.tensor(pixels.reshape(IMAGES, 1, SIDE, SIDE) / 255)
    d_shapes = {n: s for n, s in D_SHAPES.items() if "predictor" not in n and "rotation" not in n}
    g, d, c, running = Network(G_SHAPES, False), Network(d_shapes, True), Network(C_SHAPES, False), Running()
    gan = Stream(SEED).stream("gan")
    order = Stream(SEED).stream("data::batches").stream("order").at
    all_order = Stream(SEED + 1).stream("data::batches").stream("order").at
    one_hot = lambda labels: F.one_hot(torch.tensor(labels), CLASSES).double()
    told = []
    for step in range(STEPS):
        for sub in range(D_STEPS):
            at = step * D_STEPS + sub
            # The first six images have labels: a batch of four is an epoch of them, and a third of one of all.
            picked = [i for i in order(at).permutation(IMAGES) if i < 6][:BATCH]
            real, y = images[picked], one_hot([i % CLASSES for i in picked])
            begin = at % 3 * BATCH
            others = images[all_order(at // 3).permutation(IMAGES)[begin : begin + BATCH]]
            z = torch.tensor(gan.stream("z").at(at).normals(BATCH * Z)).reshape(BATCH, Z)
            draws = gan.stream("labels").at(at)
            fake_y = one_hot([draws.below(CLASSES) for _ in range(BATCH)])
            fake = generate(g, z, fake_y)
            with torch.no_grad():
                likely = classify(c, running, others, False).softmax(1)
            thresholds = torch.tensor(gan.stream("classifier").at(at).uniforms(BATCH))
            pair_y = one_hot([int((likely[i].cumsum(0) <= thresholds[i]).sum()) for i in range(BATCH)])

            h = features(d, torch.cat([real, fake.detach(), others]))
            logits = judge(d, h, torch.cat([y, fake_y, pair_y]))
            real_logits, fake_logits, pair_logits = logits.split(BATCH)
            loss = (1 - C_SHARE) * hinge(real_logits, fake_logits) + C_SHARE * hinge(real_logits, pair_logits)
            values = {"d_loss": loss.item()}
            descend(d, loss, D_RATE)

        # The classifier: the discriminator judges and does not move.
        frozen = Network({}, False)
        frozen.params, frozen.u = {n: p.detach() for n, p in d.params.items()}, dict(d.u)
        still = lambda name: still_weight(frozen, name)
        h = still_features(frozen, others)
        both = classify(c, running, torch.cat([real, others]), True)
        classes = F.cross_entropy(both[:BATCH], y.argmax(1))
        guess = both[BATCH:].softmax(1)
        # The mean over all classes of minus the logit, which is what REINFORCE estimates.
        plain = F.linear(h, still("discriminator.linear.weight"), frozen.params["discriminator.linear.bias"])
        by_class = plain + h @ still("discriminator.projection.weight").T
        adversarial = -(guess * by_class).sum(1).mean()
        values["c_loss"], values["c_adversarial"] = classes.item(), adversarial.item()
        values["c_accuracy"] = (both[:BATCH].argmax(1) == y.argmax(1)).double().mean().item()
        loss = classes + C_ADVERSARIAL * adversarial
        if step >= C_FAKE_START:
            pseudo = F.cross_entropy(classify(c, running, fake.detach(), False), fake_y.argmax(1))
            values["c_fake"] = pseudo.item()
            loss = loss + C_FAKE * pseudo
        descend(c, loss, C_RATE)

        logits = judge(d, features(d, fake), fake_y)
        values["g_loss"] = -logits.mean().item()
        descend(g, -logits.mean(), G_RATE)
        told.append(values)
    shown = ["discriminator.conv1.weight", "discriminator.linear.weight", "discriminator.projection.weight"]
    shown += ["generator.linear.weight", "generator.norm2.gamma.weight"]
    shown += ["stem.weight", "block2.shortcut.weight", "block3.norm2.gamma", "norm.beta", "head.weight", "head.bias"]
    params = {**g.params, **d.params, **c.params}
    short = lambda values: [float(f"{v:.8g}") for v in values.flatten().tolist()]
    changes = {name: short(params[name].detach() - start(name, params[name].shape)) for name in shown}
    moving = {name: [short(part) for part in running.values[name]] for name in ["block1.norm1", "norm"]}
    return {"values": told, "changes": changes, "moving": moving}


def still_weight(d, name):
    """The weight as `Network.weight` gives it, without the power iteration being kept."""
    kept = dict(d.u)
    weight = d.weight(name)
    d.u = kept
    return weight


def still_features(d, x):
    kept = dict(d.u)
    with torch.no_grad():
        h = features(d, x)
    d.u = kept
    return h


json.dump(
    {
        "made_by": "python tests/golden/steps.py > tests/golden/steps.json",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "s3gan": run(False, 0),
        "s3gan_co": run(True, 10.0),
        "triple_gan": triple(),
    },
    sys.stdout,
)
print()
