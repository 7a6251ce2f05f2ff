#!/usr/bin/env bash
# Everything one visit to a GPU needs: checks against the CPU, then times beside PyTorch. It keeps to a budget of seconds.
#
#   scripts/bench/gpu.sh build DIR                  where the CUDA toolkit is: program and tests into DIR (about 60 MB)
#   scripts/bench/gpu.sh run DIR OUT [SECONDS]      where the GPU is, within SECONDS (540): OUT/results.md and logs
#
# PYTHON names a python with torch for CUDA; its libraries serve ours too. Without one, only ours is timed.
set -uo pipefail
cd "$(dirname "$0")/../.."

build() {
    set -e
    dir=$1
    mkdir -p "$dir"
    cargo build --locked --release --features cuda,cudnn
    cargo test --locked --release --features cuda,cudnn --no-run --lib --test it --message-format=json |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] != ["bin"]:
        print(message["target"]["name"], message["executable"])' |
        while read -r name path; do strip -o "$dir/test-$name" "$path"; done
    strip -o "$dir/fewlab" target/release/fewlab
    git rev-parse --short HEAD > "$dir/commit"
    ls -la "$dir"
}

# The folders of CUDA's libraries: those of torch's wheels and those of a toolkit.
libraries() {
    "$python" - <<'PY' 2>/dev/null
import glob, os, site, sys
roots = [os.path.join(path, "nvidia") for path in site.getsitepackages() + [site.getusersitepackages()]]
found = [os.path.dirname(lib) for root in roots for lib in glob.glob(root + "/**/lib*.so.*", recursive=True)]
print(":".join(dict.fromkeys(found)))
PY
}

run() {
    dir=$(cd "$1" && pwd)
    out=$(mkdir -p "$2" && cd "$2" && pwd)
    end=$((SECONDS + ${3:-540}))
    left() { echo $((end - SECONDS)); }
    python=${PYTHON:-python3}
    export LD_LIBRARY_PATH=$(libraries):/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    ldd "$dir/fewlab" > "$out/libraries.txt"
    if grep 'not found' "$out/libraries.txt"; then
        echo "the program cannot start: add the folders of these libraries to LD_LIBRARY_PATH" >&2
        return 2
    fi
    nvidia-smi > "$out/nvidia-smi.txt" 2>&1
    "$dir/fewlab" doctor | tee "$out/doctor.txt" | grep -E '^(fewlab|gpu)'
    grep -q '^gpu *cuda' "$out/doctor.txt" || return 2

    # The checks: each of our kernels and the operators of the table, then trainings.
    timeout "$(left)" "$dir/test-fewlab" check_gpu --test-threads 1 > "$out/kernels.log" 2>&1
    kernels=$?
    CARGO_MANIFEST_DIR=$PWD timeout "$(left)" "$dir/test-it" cuda:: --test-threads 1 > "$out/trainings.log" 2>&1
    trainings=$?
    tail -n 2 "$out/kernels.log" "$out/trainings.log"

    works=(resnet:128:64 resnet:128:512 s3gan:128:64 s3gan:128:512 wgan_gp:128:64 wgan_gp:128:512 biggan128:96:64)
    ours() { # precision device
        for work in "${works[@]}"; do
            IFS=: read -r kind channels batch <<< "$work"
            steps=40
            [ "$kind" = biggan128 ] && steps=12
            [ "$(left)" -gt 20 ] || return
            milliseconds=$(timeout "$(left)" "$dir/fewlab" run scripts/bench/gpu.rhai --quiet --device "$2" --out "$scratch" \
                --set kind="$kind" --set channels="$channels" --set batch="$batch" --set steps="$steps" 2>> "$out/ours.log" | tail -n 1)
            echo "$work ${milliseconds:-failed}" >> "$out/ours-$1.txt"
        done
    }
    theirs() { # name options...
        name=$1
        shift
        [ "$(left)" -gt 20 ] && timeout "$(left)" "$python" scripts/bench/gpu.py "$@" > "$out/torch-$name.txt" 2>> "$out/torch.log"
    }
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    rm -f "$out"/ours-*.txt "$out"/torch-*.txt
    ours tf32 cuda+tf32
    theirs tf32 "${works[@]}"
    ours fp32 cuda
    theirs fp32 --fp32 "${works[@]}"
    # Compiling takes minutes: what is left of the budget goes there, and second derivatives cannot be compiled.
    theirs compile --compile resnet:128:64 biggan128:96:64 resnet:128:512 s3gan:128:64 s3gan:128:512

    "$python" - "$out" "$(cat "$dir/commit")" "$kernels" "$trainings" <<'PY' | tee "$out/results.md"
import datetime, os, re, subprocess, sys
out, commit, kernels, trainings = sys.argv[1:]
def read(name):
    try:
        lines = [line.split() for line in open(os.path.join(out, name + ".txt"))]
    except OSError:
        return {}
    return {line[0]: float(line[1]) for line in lines if len(line) > 1 and re.fullmatch(r"[0-9.]+", line[1])}
gpu = subprocess.run("nvidia-smi --query-gpu=name,driver_version --format=csv,noheader", shell=True, capture_output=True, text=True).stdout.strip()
try:
    import torch
    peer = f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
except ImportError:
    peer = "no PyTorch"
kinds = {"resnet": "ResNet GAN, 32x32", "s3gan": "S3GAN, 32x32", "wgan_gp": "WGAN-GP, 32x32", "biggan128": "BigGAN, 128x128"}
print("## A full GAN training step on a GPU\n")
print("`scripts/bench/gpu.sh` repeats the table.\n")
print(f"{datetime.date.today()}, commit {commit}, {gpu or 'GPU unknown'}; {peer}, cudnn.benchmark on, fused Adam.")
print("Milliseconds for a step, mean of 40 after 5 and more (12 for BigGAN). TF32 in convolutions and products on both sides, or on neither.")
say = lambda status: "passed" if status == "0" else "FAILED, see the log"
print(f"Kernels against the CPU: {say(kernels)}. Trainings against the CPU: {say(trainings)}.\n")
print("| step | batch | fewlab TF32 | torch TF32 | ratio | torch.compile | ratio | fewlab f32 | torch f32 | ratio |")
print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
a, b, c, d, e = (read(name) for name in ["ours-tf32", "torch-tf32", "torch-compile", "ours-fp32", "torch-fp32"])
show = lambda value: "" if value is None else f"{value:.2f}"
ratio = lambda x, y: "" if not x or not y else f"{x / y:.2f}"
for work in dict.fromkeys(list(a) + list(b) + list(d) + list(e)):
    kind, channels, batch = work.split(":")
    x, y, z, u, v = (table.get(work) for table in (a, b, c, d, e))
    cells = [show(x), show(y), ratio(x, y), show(z), ratio(x, z), show(u), show(v), ratio(u, v)]
    print(f"| {kinds.get(kind, kind)}, {channels} channels | {batch} | " + " | ".join(cells) + " |")
PY
    return $((kernels | trainings))
}

case ${1:-} in
    build) build "${2:?usage: gpu.sh build DIR}" ;;
    run) run "${2:?usage: gpu.sh run DIR OUT [SECONDS]}" "${3:?usage: gpu.sh run DIR OUT [SECONDS]}" "${4:-540}" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
