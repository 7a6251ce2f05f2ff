"""Small CLIP vision transformers as Hugging Face's transformers compute them: clip.json.

    pip install torch transformers numpy
    python tests/golden/clip.py > tests/golden/clip.json

The weights are made by a formula that tests/it/golden_clip.rs knows, too: two layers of 128 with patches of 8 on 32 pixels,
in double precision. CMMD of the embeddings is taken as its paper (arXiv:2401.09603) defines it.
"""

import importlib.metadata
import json
import platform

import numpy as np
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

WIDTH, LAYERS, SIZE, PATCH, WIDE, EMBEDDING = 128, 2, 32, 8, 384, 48
MEANS = [0.48145466, 0.4578275, 0.40821073]
DEVIATIONS = [0.26862954, 0.26130258, 0.27577711]


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def value(name, shape, seed):
    u = uniform(seed, int(np.prod(shape)))
    if "norm" in name and name.endswith("weight") or "layrnorm" in name and name.endswith("weight"):
        x = 0.8 + 0.4 * u
    elif "embedding" in name and "patch" not in name:
        x = 2 * (u - 0.5)
    elif len(shape) == 1:
        x = 0.4 * (u - 0.5)
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


def cmmd(x, y):
    x, y = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    kernel = lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 10**2)).mean()
    return 1000 * (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))


config = CLIPVisionConfig(
    hidden_size=WIDTH, intermediate_size=WIDE, num_hidden_layers=LAYERS, num_attention_heads=WIDTH // 64, image_size=SIZE,
    patch_size=PATCH, projection_dim=EMBEDDING, attn_implementation="eager",
)
network = CLIPVisionModelWithProjection(config).double().eval()
shapes = {name: list(x.shape) for name, x in sorted(network.state_dict().items()) if "position_ids" not in name}
made = {name: value(name, shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
network.load_state_dict(made, strict=False)

# One case, of which the first half stands for real and the second for generated images.
images = pictures(6, 3, SIZE)
scaled = (torch.from_numpy(images).double() / 255 - torch.tensor(MEANS).view(3, 1, 1)) / torch.tensor(DEVIATIONS).view(3, 1, 1)
with torch.no_grad():
    embeddings = network(pixel_values=scaled.double()).image_embeds.numpy()

versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "numpy")}
print(json.dumps({
    "made_by": "tests/golden/clip.py", "python": platform.python_version(), **versions,
    "shapes": shapes,
    "case": {"name": "six pictures", "count": 6, "channels": 3, "size": SIZE},
    "embeddings": [[float(f"{x:.9g}") for x in row] for row in embeddings],
    "cmmd": float(cmmd(embeddings[:3], embeddings[3:])),
}, indent=None))
