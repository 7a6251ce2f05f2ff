"""Values of metrics that need no network, from their definitions in NumPy, SciPy and scikit-learn: heads.json.

    pip install numpy scipy
    python tests/golden/heads.py > tests/golden/heads.json

The images and histograms are made by integer arithmetic, so that tests/it/golden_heads.rs makes the same bits.
"""

import importlib.metadata
import json
import platform
import sys

import numpy as np
import scipy.ndimage
import scipy.signal
import scipy.spatial
import scipy.stats

POWERS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def pictures(seed, count, channels, height, width):
    """A slope that all share, and noise: alike enough that no factor is cut off at zero."""
    y, x = np.ogrid[:height, :width]
    noise = np.floor(uniform(seed, count * channels * height * width) * 60).reshape(count, channels, height, width)
    return (x * 5 + y * 3) % 180 + noise


def ms_ssim(a, b):
    """Wang et al. 2003 on one channel, as `ssim_multiscale` of TensorFlow has it; small scales get a smaller window."""
    factors = []
    for scale in range(5):
        if scale:
            pad = [(0, a.shape[0] % 2), (0, a.shape[1] % 2)]
            a, b = (np.pad(x, pad, mode="symmetric") for x in (a, b))
            a, b = (x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3)) for x in (a, b))
        size = min(11, *a.shape)
        g = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * 1.5**2))
        window = np.outer(g, g) / g.sum() ** 2
        blur = lambda x: scipy.signal.convolve2d(x, window, mode="valid")
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        ma, mb = blur(a), blur(b)
        cs = (2 * blur(a * b) - 2 * ma * mb + c2) / (blur(a * a + b * b) - ma**2 - mb**2 + c2)
        ssim = cs * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
        factors.append(max(cs.mean() if scale < 4 else ssim.mean(), 0.0))
    return float(np.prod(np.array(factors) ** POWERS))


def similarity(name, seed, count, channels, height, width):
    x = pictures(seed, count, channels, height, width)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    return {
        "name": name, "seed": seed, "count": count, "channels": channels, "height": height, "width": width,
        "pairs": [float(np.mean([ms_ssim(x[i, c], x[j, c]) for c in range(channels)])) for i, j in pairs],
    }


def prd(seed, cells):
    """The curve between two histograms, and its largest F-scores, written from the paper's formulas."""
    real, fake = (h / h.sum() for h in uniform(seed, 2 * cells).reshape(2, cells) ** 3)
    angles = np.linspace(1e-10, np.pi / 2 - 1e-10, 1001)
    slopes = np.tan(angles)
    precision = np.minimum(slopes[:, None] * real, fake).sum(1)
    recall = np.minimum(real, fake / slopes[:, None]).sum(1)
    f = lambda beta: float(((1 + beta**2) * precision * recall / (beta**2 * precision + recall + 1e-10)).max())
    return {
        "seed": seed, "cells": cells, "precision": precision[::100].tolist(), "recall": recall[::100].tolist(),
        "f8": f(8), "f1_8": f(1 / 8),
    }


def dimension(seed, count, dim):
    """Every point is a centre where there are a hundred of them, so that no draw enters."""
    points = uniform(seed, count * dim).reshape(count, dim)
    distances = scipy.spatial.distance.cdist(points, points).ravel()
    least, most = distances[distances > 0].min(), distances.max()
    radii = least * (most / least) ** np.linspace(0, 1, 1000)[1:]
    x, y = np.log(radii), np.log((distances[None] < radii[:, None]).sum(1))
    low, high = np.log(100), np.log(count * 100)
    middle, reach = (low + high) / 2, 0.1 * (high - low)
    start, end = np.argmax(y > middle - reach), np.argmax(y > middle + reach)
    slope = np.linalg.lstsq(np.stack([x[start:end], np.ones(end - start)], 1), y[start:end], rcond=None)[0][0]
    return {"seed": seed, "count": count, "dim": dim, "slope": float(slope)}


golden = {
    "command": "python tests/golden/heads.py > tests/golden/heads.json",
    "versions": {"python": platform.python_version()}
    | {p: importlib.metadata.version(p) for p in ("numpy", "scipy")},
    "ms_ssim": [
        similarity("grey", 1, 5, 1, 28, 28), similarity("colour", 2, 4, 3, 32, 32), similarity("odd", 3, 4, 1, 45, 37),
        similarity("large", 4, 3, 3, 64, 64),
    ],
    "prd": [prd(11, 20), prd(12, 7)],
    "fractal_dimension": [dimension(21, 100, 2), dimension(22, 100, 5)],
}
json.dump(golden, sys.stdout, indent=1)
print()
