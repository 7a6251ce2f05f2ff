"""Values of the metric heads from the packages that define them: metric.json.

    pip install torch torch-fidelity clean-fid pytorch-fid prdc
    python tests/golden/metric.py > tests/golden/metric.json

The features are made by integer arithmetic and sums of doubles alone, so that tests/it/golden_metric.rs makes the same
bits. They are float64 throughout: then what differs between two implementations is the metric, not the rounding.
"""

import contextlib
import importlib.metadata
import io
import json
import platform
import sys
import warnings

import cleanfid.fid
import numpy as np
import prdc
import pytorch_fid.fid_score
import torch
import torch_fidelity.metric_fid
import torch_fidelity.metric_isc
import torch_fidelity.metric_kid
import torch_fidelity.metric_prc

warnings.filterwarnings("ignore")


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def features(seed, rows, dim, scale=1.0, shift=0.0, dead=0):
    """Mostly small and now and then large, never negative, as features after a ReLU are; `dead` columns are zero."""
    u = uniform(seed, 3 * rows * dim).reshape(rows, dim, 3)
    x = u[:, :, 0] * u[:, :, 1] * u[:, :, 2] * scale + shift
    x[:, :dead] = 0.0
    return x


def through_factors(real, fake):
    """The distance from the singular values of the product of centred rows: no digits are lost to singular matrices."""
    a = (real - real.mean(0)) / np.sqrt(len(real) - 1)
    b = (fake - fake.mean(0)) / np.sqrt(len(fake) - 1)
    if len(a) > a.shape[1]:
        a, b = np.linalg.qr(a, mode="r"), np.linalg.qr(b, mode="r")
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    means = real.mean(0) - fake.mean(0)
    return float(means @ means + (a * a).sum() + (b * b).sum() - 2 * overlap)


def distances(name, real_args, fake_args, subsets, subset_size):
    real, fake = features(**real_args), features(**fake_args)
    t = torch.from_numpy
    fidelity = torch_fidelity.metric_fid
    statistics = [fidelity.fid_features_to_statistics(t(x)) for x in (real, fake)]
    flat = [x for s in statistics for x in (s["mu"], s["sigma"])]
    kid = torch_fidelity.metric_kid.kid_features_to_metric(
        t(real), t(fake), kid_subsets=subsets, kid_subset_size=subset_size, rng_seed=2020, verbose=False
    )
    np.random.seed(0)
    with contextlib.redirect_stdout(io.StringIO()):
        neighbours = {k: prdc.compute_prdc(real, fake, k) for k in (3, 5)}
    case = {
        "name": name,
        "real": real_args,
        "fake": fake_args,
        "frechet": {
            "through_factors": through_factors(real, fake),
            "torch_fidelity": fidelity.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"],
            "pytorch_fid": float(pytorch_fid.fid_score.calculate_frechet_distance(*flat)),
            "clean_fid": float(cleanfid.fid.frechet_distance(*flat)),
        },
        "kid": {
            "subsets": subsets,
            "subset_size": subset_size,
            "torch_fidelity_mean": kid["kernel_inception_distance_mean"],
            "torch_fidelity_std": kid["kernel_inception_distance_std"],
            "clean_fid_seed_0": cleanfid.fid.kernel_distance(real, fake, subsets, subset_size),
        },
        "precision_recall": {
            str(k): list(torch_fidelity.metric_prc.prc_features_to_metric(
                t(fake), t(real), prc_neighborhood=k, verbose=False).values())[:2] for k in (3, 5)
        },
        "prdc": {str(k): {name: float(x) for name, x in v.items()} for k, v in neighbours.items()},
    }
    if len(real) == len(fake):
        whole = torch_fidelity.metric_kid.kernel_mmd(
            real, fake, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0
        )
        case["kid"]["whole"] = float(whole)
    return case


def scores(name, seed, rows, classes, scale):
    logits = (uniform(seed, rows * classes).reshape(rows, classes) - 0.5) * scale
    score = lambda splits, shuffle: list(
        torch_fidelity.metric_isc.isc_features_to_metric(torch.from_numpy(logits), splits, shuffle, 2020).values()
    )
    return {
        "name": name, "seed": seed, "rows": rows, "classes": classes, "scale": scale,
        "ten_splits": score(10, False), "ten_splits_shuffled": score(10, True), "one_split": score(1, False),
    }


golden = {
    "command": "python tests/golden/metric.py > tests/golden/metric.json",
    "versions": {"python": platform.python_version()}
    | {p: importlib.metadata.version(p) for p in ("numpy", "scipy", "torch", "torch-fidelity", "clean-fid", "pytorch-fid", "prdc")},
    "distances": [
        distances("tall", dict(seed=1, rows=1200, dim=64), dict(seed=2, rows=1100, dim=64, scale=1.1, shift=0.02), 100, 1000),
        distances("small", dict(seed=3, rows=200, dim=16), dict(seed=4, rows=150, dim=16, scale=1.2), 20, 100),
        distances("fewer rows than dimensions", dict(seed=5, rows=90, dim=256), dict(seed=6, rows=80, dim=256, scale=0.9), 10, 40),
        distances("features that are never on", dict(seed=7, rows=300, dim=48, dead=9), dict(seed=8, rows=300, dim=48, dead=5, scale=1.3), 1, 300),
        distances("large features", dict(seed=9, rows=400, dim=32, scale=300.0), dict(seed=10, rows=400, dim=32, scale=310.0, shift=4.0), 5, 200),
    ],
    "inception_scores": [scores("sure", 11, 5003, 10, 12.0), scores("unsure", 12, 997, 7, 3.0)],
}
json.dump(golden, sys.stdout, indent=1)
print()
