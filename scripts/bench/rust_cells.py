#!/usr/bin/env python3
"""Rust cells beside evcxr's own Jupyter kernel, in one run: seconds until a cell has answered.

Needs jupyter_client, an installed kernel (`fewlab install`) for which `fewlab rust prepare` has run, and evcxr's
(`cargo install evcxr_jupyter --version 0.22.0 --locked; evcxr_jupyter --install`). Where a figure is of several cells it is
their median, with the least and the most.

    python scripts/bench/rust_cells.py [--times 5] [--without-candle]
"""

import argparse
import statistics
import time

from jupyter_client import KernelManager


class Kernel:
    def __init__(self, name, before):
        self.before = before
        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code, plain=False):
        """Seconds until a cell has answered and all is published."""
        begun = time.perf_counter()
        id = self.client.execute(code if plain else self.before + code)
        while True:
            message = self.client.get_iopub_msg(timeout=3000)
            if message["parent_header"].get("msg_id") != id:
                continue
            if message["msg_type"] == "error":
                raise SystemExit("\n".join(message["content"]["traceback"]))
            if message["content"].get("execution_state") == "idle":
                break
        while self.client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != id:
            pass
        return time.perf_counter() - begun

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


FUNCTION = "fn plain{0}(x: f64) -> f64 {{ x * {0}.0 + 1.0 }}"
TENSORS = """fn gaps{0}(x: &Tensor) -> {1}<Tensor> {{
    let k = x.dim(1)?;
    x.narrow(1, 1, k - 1)?.sub(&x.narrow(1, 0, k - 1)?)?.affine({0}.0, 1.0)
}}"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=5)
    arguments.add_argument("--without-candle", action="store_true")
    args = arguments.parse_args()
    rows = {}

    def note(what, kernel, seconds):
        rows.setdefault(what, {})[kernel] = seconds

    for name, before in [("rust", ""), ("fewlab", "%%rust\n")]:
        begun = time.perf_counter()
        kernel = Kernel(name, before)
        kernel.run("1 + 1")
        note("start of the kernel and `1 + 1`", name, [time.perf_counter() - begun])
        note("first `let`", name, [kernel.run("let many = vec![1, 2, 3];\nmany.len()")])
        note("`let`", name, [kernel.run(f"let more{i} = many.len() + {i};\nmore{i}") for i in range(args.times)])
        export = "#[export]\n" if before else ""
        note("a function", name, [kernel.run(export + FUNCTION.format(i)) for i in range(args.times)])
        call = "rust::plain{0}(2.0)" if before else "plain{0}(2.0)"
        note("a call of it", name, [kernel.run(call.format(i), plain=True) for i in range(args.times)])
        if not args.without_candle:
            result = "Result" if before else "candle_core::Result"
            if not before:
                note("`:dep candle-core`", name, [kernel.run(':dep candle-core = "=0.11.1"\nuse candle_core::{Tensor, Device};')])
            cells = [export + TENSORS.format(i, result) for i in range(args.times + 1)]
            note("the first function with Candle", name, [kernel.run(cells[0])])
            note("a function with Candle", name, [kernel.run(cell) for cell in cells[1:]])
            call = (
                "rust::gaps{0}(normal([4, 8])).shape"
                if before
                else "gaps{0}(&Tensor::randn(0f32, 1f32, (4, 8), &Device::Cpu).unwrap()).unwrap().dims().to_vec()"
            )
            note("a call of it with a tensor", name, [kernel.run(call.format(i), plain=True) for i in range(args.times)])
        kernel.close()

    def figure(seconds):
        if not seconds:
            return ""
        if len(seconds) == 1:
            return f"{seconds[0]:.3g}"
        return f"{statistics.median(seconds):.3g} ({min(seconds):.3g} to {max(seconds):.3g})"

    print("| seconds | evcxr_jupyter | fewlab | ratio |\n|---|--:|--:|--:|")
    for what, of in rows.items():
        peer, ours = of.get("rust"), of.get("fewlab")
        ratio = f"{statistics.median(ours) / statistics.median(peer):.2g}" if peer and ours else ""
        print(f"| {what} | {figure(peer)} | {figure(ours)} | {ratio} |")


if __name__ == "__main__":
    main()
