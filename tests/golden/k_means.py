"""Clusters found by scikit-learn's k-means: k_means.json.

    pip install numpy scikit-learn
    python tests/golden/k_means.py > tests/golden/k_means.json

The rows are made by integer arithmetic, so that tests/it/golden_methods.rs makes the same bits.
"""

import json
import platform
import sys

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from twin import uniform


def case(name, seed, rows, dim, k, clouds):
    """`clouds` corners with noise around each; 0 for evenly spread rows."""
    noise = uniform(seed, rows * dim).reshape(rows, dim)
    corners = uniform(seed + 1, max(clouds, 1) * dim).reshape(-1, dim) * (8.0 if clouds else 0.0)
    data = corners[np.arange(rows) % max(clouds, 1)] + noise
    # From fixed centres, Lloyd's passes are the whole story.
    fixed = KMeans(n_clusters=k, init=data[:k], n_init=1, max_iter=300, tol=0.0, algorithm="lloyd").fit(data)
    drawn = KMeans(n_clusters=k, n_init=20, random_state=0).fit(data)
    return {
        "name": name,
        "seed": seed,
        "rows": rows,
        "dim": dim,
        "k": k,
        "clouds": clouds,
        "from_first_rows": {
            "inertia": fixed.inertia_,
            "counts": np.bincount(fixed.labels_, minlength=k).tolist(),
            "centre_0": fixed.cluster_centers_[0].tolist(),
        },
        "best_of_20_inertia": drawn.inertia_,
    }


def main():
    made = {
        "made_by": "python tests/golden/k_means.py > tests/golden/k_means.json",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "cases": [
            case("clouds", 11, 600, 5, 12, 12),
            case("evenly spread", 12, 500, 9, 7, 0),
            case("one column", 13, 300, 1, 4, 0),
        ],
    }
    json.dump(made, sys.stdout, indent=1)
    print()


main()
