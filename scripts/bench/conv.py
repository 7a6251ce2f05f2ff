"""Convolutions in PyTorch: the peer that Fewlab's kernels are measured against.

For each shape, milliseconds and GFLOP/s of the forward pass, the gradient of the input and the gradient of the
weights; of each the best of NCHW and channels_last, the least of many runs. Prints tab-separated values.

    python scripts/bench/conv.py [THREADS] [PART OF A SHAPE'S NAME] [SECONDS FOR EACH MEASUREMENT]

With one thread the clock is the process's CPU time, which other programs on the machine disturb little.
"""

import sys
import time

import torch

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
PART = sys.argv[2] if len(sys.argv) > 2 else ""
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 0.15

# Batch, input channels, size, output channels, kernel, stride, padding: a step of the 32x32 ResNet GAN at 64 and
# 128 channels; of the same on 28x28; of SNDCGAN.
SHAPES = [
    (64, 64, 32, 64, 3, 1, 1), (64, 64, 16, 64, 3, 1, 1), (64, 64, 8, 64, 3, 1, 1), (64, 64, 4, 64, 3, 1, 1),
    (128, 64, 32, 64, 3, 1, 1),
    (64, 128, 32, 128, 3, 1, 1), (64, 128, 16, 128, 3, 1, 1), (64, 128, 8, 128, 3, 1, 1), (128, 128, 8, 128, 3, 1, 1),
    (64, 128, 4, 128, 3, 1, 1),
    (64, 3, 32, 64, 3, 1, 1), (64, 64, 32, 3, 3, 1, 1), (64, 3, 32, 128, 3, 1, 1), (64, 128, 32, 3, 3, 1, 1),
    (64, 64, 32, 64, 1, 1, 0), (64, 64, 16, 64, 1, 1, 0), (64, 128, 16, 128, 1, 1, 0), (64, 3, 16, 64, 1, 1, 0),
    (64, 32, 28, 32, 3, 1, 1), (64, 64, 28, 64, 3, 1, 1), (64, 32, 14, 64, 3, 1, 1), (64, 64, 14, 64, 3, 1, 1),
    (64, 64, 7, 64, 3, 1, 1), (64, 1, 28, 32, 3, 1, 1), (64, 32, 28, 1, 3, 1, 1),
    (64, 64, 16, 128, 4, 2, 1), (64, 64, 32, 128, 4, 2, 1), (64, 128, 8, 256, 4, 2, 1), (64, 32, 28, 64, 4, 2, 1),
    (64, 1, 28, 64, 5, 2, 2), (64, 64, 14, 128, 5, 2, 2), (64, 128, 32, 128, 3, 2, 1), (1, 64, 32, 64, 3, 1, 1),
    (8, 256, 16, 256, 3, 1, 1),
]  # fmt: skip

clock = time.process_time if THREADS == 1 else time.perf_counter


def least(run):
    run()
    best, start = float("inf"), clock()
    while clock() - start < SECONDS:
        begin = clock()
        run()
        best = min(best, clock() - begin)
    return best


def main():
    torch.set_num_threads(THREADS)
    print("shape\tforward ms\tinput ms\tweight ms\tforward GF/s\tinput GF/s\tweight GF/s")
    for n, ci, size, co, k, s, p in SHAPES:
        name = f"n{n}_{ci}x{size}_{co}_k{k}s{s}"
        if PART not in name:
            continue
        best = [float("inf")] * 3
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(n, ci, size, size).contiguous(memory_format=layout)
            w = torch.randn(co, ci, k, k).contiguous(memory_format=layout)
            y = torch.nn.functional.conv2d(x, w, None, s, p)
            g = torch.randn_like(y)

            def backward(mask):
                torch.ops.aten.convolution_backward(
                    g, x, w, None, [s, s], [p, p], [1, 1], False, [0, 0], 1, mask
                )

            with torch.no_grad():
                runs = [
                    lambda: torch.nn.functional.conv2d(x, w, None, s, p),
                    lambda: backward([True, False, False]),
                    lambda: backward([False, True, False]),
                ]
                best = [min(b, least(run)) for b, run in zip(best, runs)]
        flops = 2 * n * co * ci * k * k * y.shape[2] * y.shape[3]
        times = "\t".join(f"{t * 1e3:.3f}" for t in best)
        rates = "\t".join(f"{flops / t / 1e9:.0f}" for t in best)
        print(f"{name}\t{times}\t{rates}", flush=True)


main()
