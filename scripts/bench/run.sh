#!/usr/bin/env bash
# Measures ours beside PyTorch on the same work, in turn, on this machine. Ratios below 1 mean that ours is faster or smaller.
#   PYTHON=path/to/python scripts/bench/run.sh      (a python with torch; numbers in RESULTS.md came from 2 threads)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
threads=${THREADS:-2}
rounds=${ROUNDS:-5}
"$python" -c 'import torch' 2>/dev/null || { echo "no torch in $python: pip install torch, then set PYTHON" >&2; exit 2; }
cargo build --release --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for channels in 64 128; do
    echo "## GAN step, 32x32, $channels channels, batch 64, $threads threads"
    ours="target/release/fewlab run scripts/bench/gan_step.rhai --quiet --threads $threads --out $out --set channels=$channels"
    torch="$python scripts/bench/gan_step.py --threads $threads --channels $channels"
    "$python" scripts/bench/pair.py --rounds "$rounds" "fewlab=$ours" "torch=$torch" "torch channels_last=$torch --channels-last"
done
