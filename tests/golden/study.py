"""Summaries and paired tests by scipy, for src/study/stats.rs. Writes study.json beside itself.

Run by hand: python study.py (needs numpy and scipy).
"""

import itertools
import json
import pathlib
import platform

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(20261123)
pairs = [
    ([1.0], [2.5]),
    ([61.2, 58.9, 63.0], [55.1, 54.0, 57.7]),
    ([61.2, 58.9, 63.0], [61.9, 55.0, 63.5]),
    # Differences that share ranks, and one of zero.
    ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 5.0, 4.0, 8.0]),
    ([0.5, 0.5, 0.25, 0.75], [0.5, 0.5, 0.25, 0.75]),
]
for n in (2, 4, 5, 7, 10, 16, 30, 50):
    first = rng.normal(50.0, 5.0, n)
    pairs.append((first.tolist(), (first + rng.normal(-1.0, 2.0, n)).tolist()))
# Many pairs: the normal approximation.
first = rng.normal(0.0, 1.0, 80)
pairs.append((first.tolist(), (first + rng.normal(0.1, 1.0, 80)).tolist()))


def signed_rank(d):
    d = d[d != 0]
    if len(d) == 0:
        return 1.0
    ties = len(np.unique(np.abs(d))) < len(d)
    if not ties:
        method = "exact" if len(d) <= 50 else "approx"
        return stats.wilcoxon(d, method=method, correction=False).pvalue
    # With ties scipy's exact method does not hold; all signs are counted out.
    ranks = stats.rankdata(np.abs(d))
    seen = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=len(d))]
    return min(1.0, 2 * np.mean([s <= seen for s in sums]))


cases = []
for first, second in pairs:
    a, b = np.array(first), np.array(second)
    d = b - a
    case = {"first": first, "second": second, "mean": a.mean(), "median": float(np.median(a)), "difference": d.mean()}
    case["wilcoxon"] = float(signed_rank(d))
    moved = int((d != 0).sum())
    case["sign"] = float(stats.binomtest(int((d > 0).sum()), moved).pvalue) if moved else 1.0
    if len(a) > 1:
        case["interval"] = list(stats.t.interval(0.95, len(a) - 1, a.mean(), stats.sem(a)))
        if d.std() > 0:
            case["paired_interval"] = list(stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d)))
        else:
            case["paired_interval"] = [d.mean(), d.mean()]
    cases.append(case)

made = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps({"command": "python tests/golden/study.py", "versions": made, "cases": cases}) + "\n")
