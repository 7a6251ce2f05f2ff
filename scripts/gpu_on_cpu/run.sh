#!/usr/bin/env bash
# Runs a program that was built with `--features cuda,cudnn` on a GPU made of this CPU (see driver.cpp): indices, arguments
# and sizes are as on a GPU, speed is not. It needs g++ with AddressSanitizer, and nothing of CUDA.
# usage: scripts/gpu_on_cpu/run.sh PROGRAM [ARGUMENT...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kernels=$here/../../src/tensor/cuda/kernels.cu
out=${GPU_ON_CPU_DIR:-${TMPDIR:-/tmp}/fewlab-gpu-on-cpu}
mkdir -p "$out"
program=$1

# Each kernel, and whether its threads wait for each other.
awk '/^KERNEL\(/ { if (name) print "OURS(" name ", " waits ")"; match($0, /\([a-z_]+\)/); name = substr($0, 2 + RSTART - 1, RLENGTH - 2); waits = "false" }
     /block_sum|block_max|__syncthreads/ { waits = "true" } END { print "OURS(" name ", " waits ")" }' "$kernels" > "$out/kernels.inc"
flags=(-std=c++20 -O1 -g -fPIC -fsanitize=address -fno-omit-frame-pointer -Wall -Wno-unused-function -I"$out" -I"$(dirname "$kernels")")
for part in driver libraries; do
    if [ ! -e "$out/$part.o" ] || [ "$here/$part.cpp" -nt "$out/$part.o" ] || [ "$kernels" -nt "$out/$part.o" ]; then
        g++ "${flags[@]}" -c "$here/$part.cpp" -o "$out/$part.o"
    fi
done
# What else the program names of CUDA: it stops there.
nm -D --undefined-only "$program" | awk '{ sub(/@.*/, "", $2); print $2 }' | grep -E '^(cu[A-Z]|cublas|curand|cudnn|cuda[A-Z]|nvrtc)' | sort -u > "$out/wanted"
nm --defined-only "$out/driver.o" "$out/libraries.o" | awk '{ print $3 }' | sort -u > "$out/there"
{
    echo '#include <stdio.h>'
    echo '#include <stdlib.h>'
    comm -23 "$out/wanted" "$out/there" | sed 's/.*/void &(void) { fprintf(stderr, "gpu_on_cpu: & was called\\n"); abort(); }/'
} > "$out/rest.c"
gcc -fPIC -w -c "$out/rest.c" -o "$out/rest.o"
g++ -shared -fsanitize=address -o "$out/gpu_on_cpu.so" "$out/driver.o" "$out/libraries.o" "$out/rest.o"
for name in libcuda.so.1 libcublas.so.13 libcublasLt.so.13 libcurand.so.10 libcudnn.so.9 libcudart.so.13 libnvrtc.so.13; do
    ln -sfn gpu_on_cpu.so "$out/$name"
done
export LD_LIBRARY_PATH=$out${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:alloc_dealloc_mismatch=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
LD_PRELOAD=$(gcc -print-file-name=libasan.so) exec "$@"
