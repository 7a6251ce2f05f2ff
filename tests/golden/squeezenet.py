"""Features of SqueezeNet 1.1 as PyTorch computes them, and Pillow's resize before it: squeezenet.json.

    pip install torch pillow numpy
    python tests/golden/squeezenet.py > tests/golden/squeezenet.json

The weights are those in src/metric/weights. The pictures are made by integer arithmetic, so that
tests/it/golden_extractor.rs makes the same bytes. The network runs in double precision.
"""

import hashlib
import importlib.metadata
import json
import platform
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

WEIGHTS = "src/metric/weights/squeezenet1_1_features_f16.safetensors"


def weights():
    raw = open(WEIGHTS, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    for name, entry in json.loads(raw[8 : 8 + n]).items():
        if name != "__metadata__":
            lo, hi = entry["data_offsets"]
            values = np.frombuffer(raw[8 + n + lo : 8 + n + hi], dtype="<f2").astype(np.float64)
            yield name, torch.from_numpy(values.reshape(entry["shape"]).copy())


W = dict(weights())


def pictures(count, channels, size):
    """Bands, circles and checks that differ by picture and colour, as [count, channels, size, size] bytes."""
    n, c, y, x = np.ogrid[:count, :channels, :size, :size]
    bands = x * (3 + n) + y * (2 + c)
    circles = ((x - size // 2) ** 2 + (y - size // 3) ** 2) * (1 + n) // 4
    checks = ((x // (2 + n)) + (y // 3)) % 2 * 90
    return ((bands + circles + checks + 40 * c) % 256).astype(np.uint8)


def resize(image, size):
    """One picture, [channels, height, width] bytes, to size x size."""
    planes = [Image.fromarray(plane, "L").resize((size, size), Image.BILINEAR) for plane in image]
    return np.stack([np.asarray(plane) for plane in planes])


def conv(name, x, stride=1):
    w = W[name + ".weight"]
    # TensorFlow's SAME: what is odd goes to the bottom and the right.
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + w.shape[2] - size, 0)
        pads += [total // 2, total - total // 2]
    return F.relu(F.conv2d(F.pad(x, pads), w, W[name + ".bias"], stride))


def fire(name, x):
    x = conv(name + ".squeeze1x1", x)
    return torch.cat([conv(name + ".expand1x1", x), conv(name + ".expand3x3", x)], 1)


def features(images, size):
    x = np.stack([resize(image, size) for image in images]).astype(np.float64)
    x = np.repeat(x, 3, 1) if x.shape[1] == 1 else x[:, ::-1]
    x = torch.from_numpy(x - np.array([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1))
    x = F.max_pool2d(conv("conv1", x, 2), 3, 2)
    x = F.max_pool2d(fire("fire3", fire("fire2", x)), 3, 2)
    x = F.max_pool2d(fire("fire5", fire("fire4", x)), 3, 2)
    for name in ("fire6", "fire7", "fire8", "fire9"):
        x = fire(name, x)
    return x.mean((2, 3)).numpy()


def case(name, count, channels, size, to):
    images = pictures(count, channels, size)
    resized = np.stack([resize(image, to) for image in images])
    return {
        "name": name, "count": count, "channels": channels, "size": size, "to": to,
        "pictures_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
        "resized_sha256": hashlib.sha256(resized.tobytes()).hexdigest(),
        "first_resized_row": resized[0, 0, 0].tolist(),
        "features": [[float(f"{v:.9g}") for v in row] for row in features(images, to)],
    }


golden = {
    "command": "python tests/golden/squeezenet.py > tests/golden/squeezenet.json",
    "versions": {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in ("numpy", "torch", "pillow")},
    "weights_sha256": hashlib.sha256(open(WEIGHTS, "rb").read()).hexdigest(),
    "cases": [
        case("grey, enlarged", 3, 1, 28, 64),
        case("colour, enlarged", 2, 3, 32, 64),
        case("colour, reduced", 2, 3, 96, 64),
    ],
}
json.dump(golden, sys.stdout)
print()
