#!/usr/bin/env bash
# Measures ours beside the peers on the same work, in turn, on this machine, and writes scripts/bench/RESULTS.md.
#   scripts/bench/run.sh [--only steps,operators,script,loop,heads,growth] [--rounds 3]
# PYTHON names a python with torch, torchvision, torch-fidelity, prdc and scipy; without it one is made under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${PYTHON:-}" ]; then
    PYTHON=target/bench-venv/bin/python
    if ! "$PYTHON" -c 'import torch, torchvision, torch_fidelity, prdc, scipy' 2>/dev/null; then
        python3 -m venv target/bench-venv
        "$PYTHON" -m pip install --quiet torch torchvision torch-fidelity prdc scipy
    fi
fi
cargo build --release --quiet
"$PYTHON" scripts/bench/compare.py "${FEWLAB:-target/release/fewlab}" "$@"
