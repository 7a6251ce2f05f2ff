"""A small DINOv2 as timm computes it, and Pillow's bicubic resize before it: dinov2.json.

    pip install torch timm pillow numpy
    python tests/golden/dinov2.py > tests/golden/dinov2.json

The weights are made by a formula that tests/it/golden_dinov2.rs knows, too, for two blocks of 128. The positions are made
for 37 patches a side, as in the published files, and brought to 16 as the original's `interpolate_pos_encoding` does.
"""

import hashlib
import importlib.metadata
import json
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

DIM, DEPTH = 128, 2


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def value(name, shape, seed):
    u = uniform(seed, int(np.prod(shape)))
    if name.endswith("gamma") or "norm" in name and name.endswith("weight"):
        x = 0.8 + 0.4 * u
    elif len(shape) == 1:
        x = 0.4 * (u - 0.5)
    elif name in ("cls_token", "pos_embed"):
        x = 2 * (u - 0.5)
    else:
        x = (u - 0.5) * 2 * np.sqrt(6 / np.prod(shape[1:]))
    return torch.from_numpy(x.astype(np.float32).reshape(shape)).double()


def pictures(count, channels, size):
    """Those of squeezenet.py."""
    n, c, y, x = np.ogrid[:count, :channels, :size, :size]
    bands = x * (3 + n) + y * (2 + c)
    circles = ((x - size // 2) ** 2 + (y - size // 3) ** 2) * (1 + n) // 4
    checks = ((x // (2 + n)) + (y // 3)) % 2 * 90
    return ((bands + circles + checks + 40 * c) % 256).astype(np.uint8)


network = VisionTransformer(
    img_size=224, patch_size=14, embed_dim=DIM, depth=DEPTH, num_heads=DIM // 64, init_values=1.0, num_classes=0,
    global_pool="token",
).double().eval()
shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
shapes["pos_embed"] = (1, 1 + 37 * 37, DIM)
state = {name: value(name, shapes[name], seed) for seed, name in enumerate(sorted(shapes))}
grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, DIM).permute(0, 3, 1, 2)
scale = (16 + 0.1) / 37
grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
assert grid.shape[-1] == 16
state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, DIM)], 1)
network.load_state_dict(state)


def case(name, count, channels, size):
    images = pictures(count, channels, size)
    resized = np.stack(
        [[np.asarray(Image.fromarray(p, "L").resize((224, 224), Image.BICUBIC)) for p in image] for image in images]
    )
    x = torch.from_numpy(resized.repeat(4 - channels if channels == 1 else 1, 1)).double() / 255
    mean, deviation = (torch.tensor(v).double().reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    features = network((x - mean) / deviation)
    return {
        "name": name, "count": count, "channels": channels, "size": size,
        "resized_sha256": hashlib.sha256(resized.tobytes()).hexdigest(),
        "features": [[float(f"{v:.9g}") for v in row] for row in features.tolist()],
    }


with torch.no_grad():
    golden = {
        "command": "python tests/golden/dinov2.py > tests/golden/dinov2.json",
        "versions": {"python": platform.python_version()}
        | {p: importlib.metadata.version(p) for p in ("numpy", "torch", "timm", "pillow")},
        "shapes": {name: list(shape) for name, shape in sorted(shapes.items())},
        "cases": [case("colour, enlarged", 2, 3, 32), case("grey, reduced", 1, 1, 300)],
    }
json.dump(golden, sys.stdout)
print()
