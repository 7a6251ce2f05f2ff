"""Principal components and t-SNE of scikit-learn: embedding.json.

    pip install numpy scikit-learn
    python tests/golden/embedding.py > tests/golden/embedding.json

The rows are made by integer arithmetic, so that tests/it/golden_looking.rs makes the same bits.
"""

import json
import platform

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _gradient_descent, _joint_probabilities, _kl_divergence
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors


def uniform(seed, count):
    """SplitMix64 in counter form, as doubles in [0, 1)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def rows(seed, n, dim, clouds):
    """Corners with noise around each."""
    corners = uniform(seed + 1, clouds * dim).reshape(clouds, dim) * 4.0
    return corners[np.arange(n) % clouds] + uniform(seed, n * dim).reshape(n, dim) * 2.0


def kept(data, points, k=10):
    """The share of the k nearest rows that are among the k nearest points."""
    near = lambda x: NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(near(data), near(points))]))


def eight_steps(points, near):
    """Where the first points are after two steps with neighbours attracting one another twelve times, and six without."""
    n = len(points)
    for attraction, steps, momentum in [(near * 12.0, 2, 0.5), (near, 6, 0.8)]:
        how = {"momentum": momentum, "learning_rate": max(n / 48.0, 50.0), "args": [attraction, 1.0, n, 2]}
        points, _, _ = _gradient_descent(_kl_divergence, points.ravel(), 0, steps, n_iter_check=100, min_grad_norm=0.0, **how)
    return points.reshape(n, 2)[:5].ravel().tolist()


def case(name, seed, n, dim, clouds, perplexity):
    data = rows(seed, n, dim, clouds)
    pca = PCA(n_components=3, svd_solver="full").fit(data)
    points = pca.transform(data)
    start = points[:, :2] / np.std(points[:, 0]) * 1e-4
    fixed = uniform(seed + 2, 2 * n).reshape(n, 2) * 10.0
    near = _joint_probabilities(pairwise_distances(data, squared=True), perplexity, 0)
    divergence, gradient = _kl_divergence(fixed.ravel(), near, 1.0, n, 2)
    model = TSNE(method="exact", perplexity=perplexity, init=start.astype(np.float32), learning_rate="auto", max_iter=1000)
    laid = model.fit_transform(data)
    return {
        "name": name, "seed": seed, "n": n, "dim": dim, "clouds": clouds, "perplexity": perplexity,
        "pca": {
            "shares": pca.explained_variance_ratio_.tolist(),
            "components": pca.components_.ravel().tolist(),
            "first_rows": points[:5].ravel().tolist(),
        },
        "divergence_of_fixed_points": float(divergence),
        "after_eight_steps": eight_steps(fixed, near),
        "tsne": {"divergence": float(model.kl_divergence_), "neighbours_kept": kept(data, laid)},
    }


def main():
    made = {
        "made_by": "python tests/golden/embedding.py > tests/golden/embedding.json",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "cases": [
            case("clouds", 21, 150, 8, 5, 20.0),
            case("fewer rows than numbers", 22, 60, 90, 4, 10.0),
            case("no clouds", 23, 120, 4, 1, 15.0),
        ],
    }
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
