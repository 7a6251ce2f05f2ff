"""Small networks of every architecture as PyTorch computes them: architectures.json.

    pip install torch numpy
    python tests/golden/architectures.py

Each case names an architecture, a part and options. Weights, inputs and the coefficients of the sum that is differentiated
come from a formula (`formula`), so that tests/it/golden_architectures.rs makes the same ones in Rust; everything runs in double precision.
Written after the definitions of Compare GAN: its order of operations (enlarge, then convolve; convolve, then halve), its
matrices [kh kw in, out] in spectral norm, TensorFlow's SAME padding.

Of each case: some values of the output in training, of the output at evaluation afterwards (moving averages and singular
vectors are in it), and for each parameter of s = sum(w * output) the inner product of its gradient with a vector of the
formula and its length; of a discriminator also those of h = sum((d s / d images)^2) / 2, which is what a penalty looks at.
"""

import json
import pathlib
import platform

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def formula(name, *shape):
    """Numbers from -1 to 1 that look random, exactly the same in any language."""
    mask = np.uint64(0xFFFFFFFF)
    start = 0x811C9DC5  # FNV-1a of the name.
    for byte in name.encode():
        start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    h = (np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(start)) & mask
    for _ in range(2):
        h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x45D9F3B)) & mask
    h = h ^ (h >> np.uint64(16))
    return torch.tensor(h.astype(np.float64) / 2.0**31 - 1.0).reshape(*shape)


def first_value(name, shape):
    v = formula(name, *shape)
    last = name.rsplit(".", 1)[-1]
    if last == "weight":
        return v * (3.0 / np.prod(shape[1:])) ** 0.5
    if last == "gamma":
        return 1.0 + 0.3 * v
    return 0.3 * v if last != "gate" else 0.7 + 0.2 * v


def same(n, k, s):
    total = max((-(-n // s) - 1) * s + k - n, 0)
    return total // 2, total - total // 2


def halve(x):
    h, w = x.shape[2] % 2, x.shape[3] % 2
    ones = F.pad(torch.ones_like(x[:1, :1]), (0, w, 0, h))
    return F.avg_pool2d(F.pad(x, (0, w, 0, h)), 2) / F.avg_pool2d(ones, 2)


class Net:
    def __init__(self, options):
        self.o = {
            "colours": 3, "classes": 0, "norm": "none", "norm_epsilon": 1e-5, "norm_decay": 0.9, "norm_groups": 32,
            "norm_hidden": 32, "norm_bias": False, "layer_norm": False, "spectral": None, "spectral_iterations": 1,
            "upsample": "nearest", "shortcut_kernel": 1, "pool": "sum", "attention": None, "hierarchical_z": None,
            "embed_y": None, "embed_z": False, "embed_bias": False, "compat": [],
        } | options
        self.params, self.u, self.moving = {}, {}, {}
        self.train = True

    def compat(self, name):
        return name in self.o["compat"]

    def p(self, name, *shape):
        if name not in self.params:
            self.params[name] = first_value(name, shape).requires_grad_()
        return self.params[name]

    # Layers.

    def weight(self, name, *shape, sn=True, rows_first=False):
        w = self.p(f"{name}.weight", *shape)
        side = self.o["spectral"]
        if not sn or side is None:
            return w
        flat = w.reshape(shape[0], -1)
        m = flat if rows_first else flat.T
        rows, cols = m.shape
        if side == "auto":
            first_is_shorter = flat.shape[0] <= flat.shape[1]
            side = "left" if first_is_shorter == rows_first else "right"
        key = f"{name}.u"
        if key not in self.u:
            self.u[key] = formula(key, 1, rows if side == "left" else cols).reshape(-1)
        unit = lambda a: a * torch.rsqrt(torch.clamp((a * a).sum(), min=1e-12))
        d = m.detach()
        u = self.u[key]
        for _ in range(self.o["spectral_iterations"]):
            if side == "left":
                v = unit(d.T @ u)
                u = unit(d @ v)
            else:
                v = unit(d @ u)
                u = unit(d.T @ v)
        if self.train or self.compat("spectral_always"):
            self.u[key] = u
        sigma = u @ m @ v if side == "left" else v @ m @ u
        return w / sigma

    def linear(self, name, x, outputs, bias=True, sn=True):
        y = x @ self.weight(name, outputs, x.shape[1], sn=sn).T
        return y + self.p(f"{name}.bias", outputs) if bias else y

    def conv(self, name, x, outputs, k, stride=1, bias=True, sn=True):
        v, h = same(x.shape[2], k, stride), same(x.shape[3], k, stride)
        w = self.weight(name, outputs, x.shape[1], k, k, sn=sn)
        return F.conv2d(F.pad(x, (*h, *v)), w, self.p(f"{name}.bias", outputs) if bias else None, stride=stride)

    def deconv(self, name, x, outputs, size, k, stride, sn=True):
        """The gradient of the SAME convolution from `size` to the size of x."""
        w = self.weight(name, x.shape[1], outputs, k, k, sn=sn)
        before, after = same(size, k, stride)
        full = F.conv_transpose2d(x, w, None, stride=stride)
        full = F.pad(full, (0, max(0, before + size - full.shape[3]), 0, max(0, before + size - full.shape[2])))
        assert (-(-size // stride)) == x.shape[2]
        return full[:, :, before : before + size, before : before + size] + self.p(f"{name}.bias", outputs).reshape(1, -1, 1, 1)

    def norm(self, name, x, y=None, z=None, kind=None):
        kind = kind or self.o["norm"]
        if kind == "none":
            return x
        c, eps = x.shape[1], self.o["norm_epsilon"]
        wide = lambda t: t.reshape(*t.shape, *[1] * (x.dim() - 2))
        if kind == "conditional_batch_norm":
            bias = self.o["norm_bias"]
            one = 0.0 if self.compat("gain_without_one") else 1.0
            gamma = one + self.linear(f"{name}.gamma", y, c, bias=bias)
            beta = self.linear(f"{name}.beta", y, c, bias=bias)
        elif kind == "self_modulated_batch_norm":
            h = torch.relu(self.linear(f"{name}.hidden", z, self.o["norm_hidden"])) if self.o["norm_hidden"] else z
            gamma = 1.0 + self.linear(f"{name}.gamma", h, c)
            beta = self.linear(f"{name}.beta", h, c)
        else:
            gamma, beta = self.p(f"{name}.gamma", c)[None], self.p(f"{name}.beta", c)[None]
        if kind == "layer_norm":
            return F.layer_norm(x, x.shape[1:], eps=eps) * wide(gamma) + wide(beta)
        if kind == "instance_norm":
            return F.instance_norm(x, eps=eps) * wide(gamma) + wide(beta)
        if kind == "group_norm":
            return F.group_norm(x, min(self.o["norm_groups"], c), eps=eps) * wide(gamma) + wide(beta)
        mean, var = self.moving.setdefault(name, (torch.zeros(c), torch.ones(c)))
        if self.train:
            dims = [0, 2, 3][: x.dim() - 1]
            batch = x.mean(dims), x.var(dims, unbiased=False)
            d = self.o["norm_decay"]
            self.moving[name] = tuple(d * old + (1 - d) * new.detach() for old, new in zip((mean, var), batch))
            mean, var = batch
        return (x - wide(mean[None])) / torch.sqrt(wide(var[None]) + eps) * wide(gamma) + wide(beta)

    # Residual blocks.

    def enlarge(self, x):
        if self.o["upsample"] == "nearest":
            return F.interpolate(x, scale_factor=2)
        out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        out[:, :, ::2, ::2] = x
        return out

    def stage(self, at, i, x, y, z):
        x = self.norm(f"{at}.norm{i}", x, y, z)
        if self.o["layer_norm"]:
            x = self.norm(f"{at}.layer_norm{i}", x, kind="layer_norm")
        return torch.relu(x)

    def block(self, at, x, outputs, scale, y=None, z=None, always=True):
        """Norm, ReLU, conv3x3 twice, plus a convolution of the input (where it is not left out)."""
        net = self.stage(at, 1, x, y, z)
        net = self.enlarge(net) if scale == "up" else net
        net = self.stage(at, 2, self.conv(f"{at}.conv1", net, outputs, 3), y, z)
        net = self.conv(f"{at}.conv2", net, outputs, 3)
        net = halve(net) if scale == "down" else net
        if always or x.shape[1] != outputs:
            shortcut = self.enlarge(x) if scale == "up" else x
            shortcut = self.conv(f"{at}.shortcut", shortcut, outputs, self.o["shortcut_kernel"])
        elif self.compat("no_identity_skip"):
            return net
        else:
            shortcut = x
        return net + (halve(shortcut) if scale == "down" else shortcut)

    def deep_block(self, at, x, outputs, scale, y=None, z=None):
        inputs = x.shape[1]
        neck = max(max(inputs, outputs) // 4, 1)
        net = self.conv(f"{at}.conv1", self.stage(at, 1, x, y, z), neck, 1)
        net = self.stage(at, 2, net, y, z)
        net = self.conv(f"{at}.conv2", self.enlarge(net) if scale == "up" else net, neck, 3)
        net = self.conv(f"{at}.conv3", self.stage(at, 3, net, y, z), neck, 3)
        net = self.stage(at, 4, net, y, z)
        net = self.conv(f"{at}.conv4", halve(net) if scale == "down" else net, outputs, 1)
        shortcut = x[:, :outputs]
        shortcut = self.enlarge(shortcut) if scale == "up" else halve(shortcut) if scale == "down" else shortcut
        if inputs < outputs:
            shortcut = torch.cat([shortcut, self.conv(f"{at}.shortcut", shortcut, outputs - inputs, 1)], 1)
        return net + shortcut

    def attend(self, at, x):
        n, c, h, w = x.shape
        pool = lambda t: F.max_pool2d(F.pad(t, (0, w % 2, 0, h % 2), value=-1e300), 2).flatten(2)
        theta = self.conv(f"{at}.query", x, max(c // 8, 1), 1, bias=False).flatten(2)
        phi = pool(self.conv(f"{at}.key", x, max(c // 8, 1), 1, bias=False))
        g = pool(self.conv(f"{at}.value", x, max(c // 2, 1), 1, bias=False))
        attention = torch.einsum("nci,ncj->nij", theta, phi).softmax(-1)
        o = torch.einsum("nij,ncj->nci", attention, g).reshape(n, -1, h, w)
        return x + self.p(f"{at}.gate", 1) * self.conv(f"{at}.out", o, c, 1, bias=False)

    # Residual networks.

    def residual_generator(self, z, y, side, channels, blocks, end, kind="plain", hierarchical=False, embed_y=0, gaps=False, own=()):
        o = self.o
        z_dim = z.shape[1]
        embedding = kind == "plain"
        if o["embed_z"]:
            z = self.linear("generator.embed_z", z, z_dim, bias=o["embed_bias"], sn=embedding)
        width = embed_y if o["embed_y"] is None and y is not None else o["embed_y"]
        if width:
            y = self.linear("generator.embed_y", y, width, bias=o["embed_bias"], sn=embedding)
        start, seen = z, [(y, z)] * len(blocks)
        if kind == "deep":
            start = z if y is None else torch.cat([z, y], 1)
            seen = [(start, start)] * len(blocks)
        elif hierarchical if o["hierarchical_z"] is None else o["hierarchical_z"]:
            start, *parts = z.split(z_dim // (len(blocks) + 1), 1)
            seen = [(part if y is None else torch.cat([part, y], 1), part) for part in parts]
        edge = not (gaps and self.compat("spectral_gaps"))
        x = self.linear("generator.linear", start, side * side * channels, sn=edge).reshape(-1, channels, side, side)
        attention = list(own if o["attention"] is None else o["attention"])
        for i, ((outputs, scale), (y_i, z_i)) in enumerate(zip(blocks, seen)):
            at = f"generator.block{i + 1}"
            make = self.deep_block if kind == "deep" else self.block
            x = make(at, x, outputs, scale, y_i, z_i)
            if x.shape[2] in attention:
                attention.remove(x.shape[2])
                x = self.attend(f"{at}.attention", x)
        if end == "tanh":
            plain = "batch_norm" if o["norm"] in ("conditional_batch_norm", "self_modulated_batch_norm") else None
            x = torch.relu(self.norm("generator.norm", x, kind=plain))
        elif end == "sigmoid":
            x = torch.relu(self.norm("generator.norm", x, y, z))
        x = self.conv("generator.conv", x, o["colours"], 3, sn=edge)
        return 0.5 * (torch.tanh(x) + 1) if end == "tanh" else torch.sigmoid(x)

    def residual_discriminator(self, x, y, blocks, kind="plain", stem=None, stem_sn=True, pooled=True, own=()):
        o = self.o
        if stem:
            x = self.conv("discriminator.stem", x, stem, 3, sn=stem_sn)
        attention = list(own if o["attention"] is None else o["attention"])
        sizes = []
        for _, scale in blocks:
            sizes.append(-(-(sizes[-1] if sizes else x.shape[2]) // (2 if scale == "down" else 1)))
        for i, (outputs, scale) in enumerate(blocks):
            at = f"discriminator.block{i + 1}"
            if kind == "deep":
                x = self.deep_block(at, x, outputs, scale, y)
            else:
                x = self.block(at, x, outputs, scale, y, always=kind == "plain")
            if sizes[i] in attention and sizes[i] not in sizes[i + 1 :]:
                x = self.attend(f"{at}.attention", x)
        if not pooled:
            return x.flatten(1)
        x = torch.relu(x)
        return x.sum((2, 3)) if o["pool"] == "sum" else x.mean((2, 3))

    # Architectures.

    def generator(self, name, z, y):
        o = self.o
        size, ch = o["size"], o["channels"]
        up = lambda *times: [(ch * t, "up") for t in times]
        if name == "resnet_cifar":
            side, n = (size // 8, 3) if size % 8 == 0 else (size // 4, 2)
            return self.residual_generator(z, y, side, ch, up(*[1] * n), "sigmoid")
        if name == "resnet_stl":
            return self.residual_generator(z, y, size // 8, 8 * ch, up(4, 2, 1), "sigmoid", gaps=True)
        if name == "resnet5":
            ups = {32: 3, 20: 2}[size]
            blocks = [(ch * t, "up" if i < ups else "none") for i, t in enumerate([8, 4, 4, 2, 1])]
            return self.residual_generator(z, y, size >> ups, 8 * ch, blocks, "sigmoid", gaps=True)
        if name == "resnet30":
            blocks = []
            for t in [32, 16, 8, 4, 2, 1]:
                blocks += ([(ch * t, "up")] if t < 32 else []) + [(ch * t, "none")] * 5
            return self.residual_generator(z, y, size // 32, 32 * ch, blocks, "bare", gaps=True)
        if name == "biggan":
            more = {"kind": "biggan", "hierarchical": True, "embed_y": 128}
            return self.residual_generator(z, y, size // 8, 4 * ch, up(4, 4, 4), "tanh", **more)
        if name == "biggan_deep":
            blocks = [(4 * ch, scale) for scale in ["none", "up"] * 3 + ["none"]]
            return self.residual_generator(z, y, size // 8, 4 * ch, blocks, "tanh", kind="deep", embed_y=128)
        g, sn = "generator", not self.compat("spectral_gaps")
        at = lambda part: -(-size // part)
        if name == "dcgan":
            x = self.linear(f"{g}.linear", z, at(16) ** 2 * ch, sn=sn).reshape(-1, ch, at(16), at(16))
            for i, (outputs, part) in enumerate([(ch // 2, 8), (ch // 4, 4), (ch // 8, 2), (o["colours"], 1)]):
                x = torch.relu(self.norm(f"{g}.norm{i}", x, y, z))
                x = self.deconv(f"{g}.conv{i + 1}", x, outputs, at(part), 5, 2, sn=sn)
            return 0.5 * torch.tanh(x) + 0.5
        if name == "sndcgan":
            x = self.linear(f"{g}.linear", z, at(8) ** 2 * ch, sn=sn)
            if o["norm"] in ("instance_norm", "group_norm", "layer_norm"):
                x = x.reshape(-1, ch, at(8), at(8))
            x = torch.relu(self.norm(f"{g}.norm0", x, y, z)).reshape(-1, ch, at(8), at(8))
            for i, (outputs, part) in enumerate([(ch // 2, 4), (ch // 4, 2), (ch // 8, 1)]):
                x = self.deconv(f"{g}.conv{i + 1}", x, outputs, at(part), 4, 2, sn=sn)
                x = torch.relu(self.norm(f"{g}.norm{i + 1}", x, y, z))
            return 0.5 * (torch.tanh(self.deconv(f"{g}.conv4", x, o["colours"], size, 3, 1, sn=sn)) + 1)
        assert name == "infogan"
        lrelu = lambda t: F.leaky_relu(t, 0.2)
        x = lrelu(self.norm(f"{g}.norm1", self.linear(f"{g}.linear1", z, 16 * ch, sn=sn), y, z))
        x = lrelu(self.norm(f"{g}.norm2", self.linear(f"{g}.linear2", x, at(4) ** 2 * 2 * ch, sn=sn), y, z))
        x = self.deconv(f"{g}.conv1", x.reshape(-1, 2 * ch, at(4), at(4)), ch, at(2), 4, 2, sn=sn)
        return torch.sigmoid(self.deconv(f"{g}.conv2", lrelu(self.norm(f"{g}.norm3", x, y, z)), o["colours"], size, 4, 2, sn=sn))

    def features(self, name, x, y):
        ch = self.o["channels"]
        down = lambda *times: [(ch * t, "down") for t in times]
        if name == "resnet_cifar":
            return self.residual_discriminator(x, y, down(1, 1) + [(ch, "none")] * 2)
        if name == "resnet_stl":
            return self.residual_discriminator(x, y, down(1, 2, 4, 8) + [(16 * ch, "none")])
        if name == "resnet5":
            return self.residual_discriminator(x, y, down(1, 2, 4, 4, 8, 8))
        if name == "resnet30":
            blocks = []
            for t in [1, 2, 4, 8, 16, 32]:
                blocks += ([(ch * t, "down")] if t > 1 else []) + [(ch * t, "none")] * 5
            sn = not self.compat("spectral_gaps")
            return self.residual_discriminator(x, y, blocks, stem=ch, stem_sn=sn, pooled=False)
        if name == "biggan":
            own = [-(-self.o["size"] // 2)]
            return self.residual_discriminator(x, y, down(2, 2, 2) + [(2 * ch, "none")], kind="biggan", own=own)
        if name == "biggan_deep":
            blocks = [(2 * ch, scale) for scale in ["down", "none"] * 3 + ["down"]]
            return self.residual_discriminator(x, y, blocks, kind="deep", stem=2 * ch)
        d = "discriminator"
        lrelu = lambda t: F.leaky_relu(t, 0.2)
        if name == "dcgan":
            x = lrelu(self.conv(f"{d}.conv1", x, ch // 8, 5, 2))
            for i, part in [(2, 4), (3, 2), (4, 1)]:
                x = lrelu(self.norm(f"{d}.norm{i}", self.conv(f"{d}.conv{i}", x, ch // part, 5, 2), y))
            return x.flatten(1)
        if name == "sndcgan":
            x = 2 * x - 1
            for i, (part, k, s) in enumerate([(8, 3, 1), (4, 4, 2), (4, 3, 1), (2, 4, 2), (2, 3, 1), (1, 4, 2), (1, 3, 1)]):
                x = F.leaky_relu(self.conv(f"{d}.conv{i + 1}", x, ch // part, k, s), 0.1)
            return x.flatten(1)
        assert name == "infogan"
        x = lrelu(self.conv(f"{d}.conv1", x, ch, 4, 2))
        x = lrelu(self.norm(f"{d}.norm1", self.conv(f"{d}.conv2", x, 2 * ch, 4, 2), y))
        return lrelu(self.norm(f"{d}.norm2", self.linear(f"{d}.linear1", x.flatten(1), 16 * ch), y))

    def logits(self, name, x, y):
        h = self.features(name, x, y)
        logits = self.linear("discriminator.linear", h, 1).reshape(-1)
        if y is not None:
            e = self.weight("discriminator.projection", y.shape[1], h.shape[1], rows_first=True)
            logits = logits + ((y @ e) * h).sum(1)
        return logits


BN, CBN, SBN = "batch_norm", "conditional_batch_norm", "self_modulated_batch_norm"
CASES = [
    ("generator", "resnet_cifar", {"size": 16, "channels": 4, "z_dim": 6, "norm": BN}),
    ("generator", "resnet_cifar", {"size": 12, "channels": 4, "z_dim": 6, "norm": CBN, "classes": 3, "hierarchical_z": True, "embed_y": 5, "embed_z": True, "spectral": "left", "upsample": "zeros", "shortcut_kernel": 3, "attention": [6, 12]}),
    ("generator", "resnet_cifar", {"size": 8, "channels": 4, "z_dim": 8, "norm": SBN, "norm_hidden": 7, "hierarchical_z": True, "layer_norm": True, "spectral": "right", "embed_z": True, "embed_bias": True}),
    ("generator", "resnet_cifar", {"size": 8, "channels": 4, "z_dim": 6, "norm": SBN, "norm_hidden": 0, "classes": 2, "upsample": "zeros"}),
    ("generator", "resnet_cifar", {"size": 8, "channels": 4, "z_dim": 6, "norm": "group_norm", "norm_groups": 2}),
    ("generator", "resnet_stl", {"size": 16, "channels": 1, "z_dim": 5, "norm": CBN, "classes": 4, "norm_bias": True, "spectral": "auto", "compat": ["spectral_gaps", "gain_without_one"]}),
    ("generator", "resnet5", {"size": 20, "channels": 1, "z_dim": 5, "norm": BN, "norm_decay": 0.7, "norm_epsilon": 1e-3, "shortcut_kernel": 3, "spectral": "left"}),
    ("generator", "resnet30", {"size": 32, "channels": 1, "z_dim": 5, "norm": BN, "upsample": "zeros", "shortcut_kernel": 3}),
    ("generator", "dcgan", {"size": 20, "channels": 16, "z_dim": 5, "norm": CBN, "classes": 3, "colours": 1, "spectral": "auto"}),
    ("generator", "sndcgan", {"size": 12, "channels": 16, "z_dim": 5, "norm": CBN, "classes": 3}),
    ("generator", "sndcgan", {"size": 9, "channels": 16, "z_dim": 5, "norm": "instance_norm", "colours": 1}),
    ("generator", "infogan", {"size": 10, "channels": 3, "z_dim": 5, "norm": SBN, "spectral": "right", "compat": []}),
    ("generator", "biggan", {"size": 32, "channels": 2, "z_dim": 8, "norm": CBN, "classes": 3, "spectral": "auto", "attention": [16, 8]}),
    ("generator", "biggan", {"size": 40, "channels": 1, "z_dim": 8, "norm": BN, "hierarchical_z": False, "layer_norm": True, "upsample": "zeros"}),
    ("generator", "biggan_deep", {"size": 32, "channels": 2, "z_dim": 6, "norm": CBN, "classes": 3, "spectral": "left", "attention": [16]}),
    ("generator", "biggan_deep", {"size": 32, "channels": 1, "z_dim": 6, "norm": BN, "upsample": "zeros"}),
    ("discriminator", "resnet_cifar", {"size": 14, "channels": 4, "spectral": "auto", "classes": 3, "attention": [7, 4]}),
    ("discriminator", "resnet_cifar", {"size": 8, "channels": 4, "norm": BN, "layer_norm": True, "shortcut_kernel": 3, "pool": "mean", "spectral": "right", "spectral_iterations": 3}),
    ("discriminator", "resnet_cifar", {"size": 8, "channels": 4, "norm": "layer_norm"}),
    ("discriminator", "resnet_cifar", {"size": 8, "channels": 4, "norm": "instance_norm"}),
    ("discriminator", "resnet_cifar", {"size": 8, "channels": 6, "norm": "group_norm", "norm_groups": 3}),
    ("discriminator", "resnet_cifar", {"size": 8, "channels": 4, "norm": CBN, "classes": 3}),
    ("discriminator", "resnet_stl", {"size": 12, "channels": 1, "spectral": "left", "shortcut_kernel": 3, "pool": "mean"}),
    ("discriminator", "resnet5", {"size": 20, "channels": 1, "colours": 1, "spectral": "auto", "compat": ["spectral_always"]}),
    ("discriminator", "resnet30", {"size": 32, "channels": 1, "spectral": "auto", "shortcut_kernel": 3, "compat": ["spectral_gaps"]}),
    ("discriminator", "dcgan", {"size": 20, "channels": 16, "norm": CBN, "classes": 3, "spectral": "left"}),
    ("discriminator", "sndcgan", {"size": 9, "channels": 16, "spectral": "right", "classes": 2}),
    ("discriminator", "infogan", {"size": 10, "channels": 2, "norm": "group_norm", "norm_groups": 2, "colours": 1}),
    ("discriminator", "biggan", {"size": 32, "channels": 2, "spectral": "auto", "classes": 3}),
    ("discriminator", "biggan", {"size": 40, "channels": 1, "spectral": "left", "compat": ["no_identity_skip"], "pool": "mean"}),
    ("discriminator", "biggan_deep", {"size": 32, "channels": 2, "spectral": "auto", "classes": 3, "attention": [16, 4]}),
    ("discriminator", "biggan_deep", {"size": 32, "channels": 2, "norm": BN, "layer_norm": True}),
]


def digits(x):
    return float(f"{float(torch.as_tensor(x).detach()):.9g}")


def some(t):
    flat = t.detach().reshape(-1)
    return [digits(flat[i * 7919 % len(flat)]) for i in range(8)]


def summary(names, grads):
    return {
        name: [digits((g * formula(name, *g.shape)).sum()), digits(g.norm())]
        for name, g in zip(names, grads)
    }


def run(part, architecture, options):
    net = Net(options)
    o, n = net.o, 3
    labels = None
    if o["classes"]:
        labels = F.one_hot(torch.arange(n) % o["classes"], o["classes"]).double()
        labels[0, :2] = torch.tensor([0.25, 0.75])
    if part == "generator":
        x = formula("input", n, o["z_dim"]) * 3**0.5
        forward = lambda: net.generator(architecture, x, labels)
    else:
        x = (0.5 + 0.5 * formula("input", n, o["colours"], o["size"], o["size"])).requires_grad_()
        forward = lambda: net.logits(architecture, x, labels)
    y = forward()
    s = (y * formula("sum", *y.shape)).sum()
    names, params = zip(*sorted(net.params.items()))
    case = {"part": part, "architecture": architecture, "options": options, "output": some(y)}
    case["first"] = summary(names, torch.autograd.grad(s, params, retain_graph=True, create_graph=part == "discriminator"))
    if part == "discriminator":
        (slope,) = torch.autograd.grad(s, x, create_graph=True)
        second = torch.autograd.grad((slope**2).sum() / 2, params, allow_unused=True)
        second = [torch.zeros_like(p) if g is None else g for p, g in zip(params, second)]
        case["slope"] = some(slope)
        case["second"] = summary(names, second)
    net.train = False
    # Twice: what advances at evaluation, if anything does, shows in the second.
    with torch.no_grad():
        forward()
        case["evaluated"] = some(forward())
    return case


def main():
    out = {
        "made_by": "python tests/golden/architectures.py",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "cases": [run(*case) for case in CASES],
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(out, separators=(",", ":")).replace('{"part"', '\n{"part"') + "\n")


main()
