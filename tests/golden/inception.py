"""The Inception network of the FID as torch-fidelity computes it, layer by layer: inception.json.

    pip install torch torch-fidelity numpy
    python tests/golden/inception.py > tests/golden/inception.json

The published weights are not needed: the weights are made by a formula that tests/it/golden_inception.rs knows, too. The
network runs in double precision. `files` holds one small state dictionary as torch writes it, in both of its formats, in
base64.
"""

import base64
import contextlib
import importlib.metadata
import io
import json
import platform
import sys

import numpy as np
import torch
import torch_fidelity.feature_extractor_inceptionv3 as inception

torch.set_num_threads(2)


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def value(name, shape, seed):
    """As large as keeps activations from vanishing, in float32 as a file holds it."""
    u = uniform(seed, int(np.prod(shape)))
    if name.endswith("running_var"):
        x = 0.5 + u
    elif name.endswith("bn.weight"):
        x = 0.8 + 0.4 * u
    elif len(shape) == 1:
        x = 0.4 * (u - 0.5)
    else:
        x = (u - 0.5) * 2 * np.sqrt(6 / np.prod(shape[1:]))
    return torch.from_numpy(x.astype(np.float32).reshape(shape))


def pictures(count, channels, size):
    """Those of squeezenet.py."""
    n, c, y, x = np.ogrid[:count, :channels, :size, :size]
    bands = x * (3 + n) + y * (2 + c)
    circles = ((x - size // 2) ** 2 + (y - size // 3) ** 2) * (1 + n) // 4
    checks = ((x // (2 + n)) + (y // 3)) % 2 * 90
    return ((bands + circles + checks + 40 * c) % 256).astype(np.uint8)


def rounded(values):
    return [float(f"{v:.9g}") for v in values]


class Unloaded(inception.FeatureExtractorInceptionV3):
    def load_state_dict(self, state, strict=True):
        own = self.state_dict()
        names = sorted(name for name in own if not name.endswith("num_batches_tracked"))
        state = {name: value(name, tuple(own[name].shape), seed) for seed, name in enumerate(names)}
        return super().load_state_dict(state, strict=False)


inception.load_state_dict_from_url = lambda *args, **kwargs: {}
network = Unloaded(
    "inception", ["2048", "logits_unbiased", "logits"], feature_extractor_internal_dtype="float64", verbose=False
)

LAYERS = [name for name, _ in network.named_children() if name != "fc"]


def case(name, count, channels, size):
    images = torch.from_numpy(pictures(count, channels, size).repeat(4 - channels if channels == 1 else 1, 1))
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=child: seen.__setitem__(name, out))
        for child, module in network.named_children()
        if child != "fc"
    ]
    resized = inception.interpolate_bilinear_2d_like_tensorflow1x(images.double(), size=(299, 299), align_corners=False)
    features, unbiased, logits = network(images)
    for hook in hooks:
        hook.remove()
    layers = []
    for layer, x in [("input", (resized - 128) / 128)] + [(layer, seen[layer]) for layer in LAYERS]:
        flat = x.flatten()
        places = [(i * 7919 + 13) % len(flat) for i in range(12)]
        layers.append(
            {
                "name": layer, "shape": list(x.shape), "mean": float(f"{x.mean():.12g}"),
                "largest": float(f"{x.abs().max():.9g}"), "values": rounded(flat[places].tolist()),
            }
        )
    return {
        "name": name, "count": count, "channels": channels, "size": size, "layers": layers,
        "features": [rounded(row[::64].tolist()) for row in features],
        "logits_unbiased": [rounded(row[::48].tolist()) for row in unbiased],
        "logits": [rounded(row[::48].tolist()) for row in logits],
    }


def saved(zipped):
    buffer = io.BytesIO()
    state = {
        "conv.weight": torch.arange(12, dtype=torch.float32).reshape(2, 3, 2) / 8,
        "transposed": (torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4).t(),
        "part": torch.arange(10, dtype=torch.float32)[4:7],
        "half": torch.tensor([0.5, -1.5], dtype=torch.float16),
        "num_batches_tracked": torch.tensor(7),
    }
    torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
    return base64.b64encode(buffer.getvalue()).decode()


with torch.no_grad():
    golden = {
        "command": "python tests/golden/inception.py > tests/golden/inception.json",
        "versions": {"python": platform.python_version()}
        | {p: importlib.metadata.version(p) for p in ("numpy", "torch", "torch-fidelity")},
        "parameters": sum(p.numel() for p in network.parameters()),
        "cases": [case("colour, enlarged", 2, 3, 32), case("grey, reduced", 1, 1, 400)],
        "files": {"zip": saved(True), "legacy": saved(False)},
    }
json.dump(golden, sys.stdout)
print()
