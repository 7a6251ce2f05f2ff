"""The heads of the metrics as torch-fidelity and prdc compute them, on random features: seconds for each.

python heads.py [--images 10000] [--dim 2048] [--threads 2]
FD, KID (100 subsets of 1,000) and the Inception score of torch-fidelity, precision, recall, density and coverage of prdc.
"""

import argparse
import contextlib
import sys
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, default=10_000)
parser.add_argument("--dim", type=int, default=2048)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)

from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

real, fake = torch.randn(args.images, args.dim), torch.randn(args.images, args.dim) + 0.1
logits = torch.randn(args.images, 1008)


def fd():
    fid_statistics_to_metric(fid_features_to_statistics(fake), fid_features_to_statistics(real), verbose=False)


def kid():
    kid_features_to_metric(fake, real, kid_subsets=100, kid_subset_size=1000, verbose=False, rng_seed=2020,
                           kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)


def prdc():
    compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)


def inception_score():
    isc_features_to_metric(logits)


for head in (fd, kid, prdc, inception_score):
    begun = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        head()
    print(f"{head.__name__}\t{time.perf_counter() - begun}", flush=True)
