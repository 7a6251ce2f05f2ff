#!/usr/bin/env python3
"""The kernel beside ipykernel, in one run: start, memory, round trip, printed lines, interrupt.

Needs jupyter_client, psutil, ipykernel and an installed kernel (`fewlab install`). Each figure is a median.

    python scripts/bench/kernel.py [--times 100]
"""

import argparse
import json
import statistics
import time

import psutil
from jupyter_client import KernelManager

LANGUAGES = {
    "python3": {"lines": "for i in range(10000): print('line', i)", "loop": "while True: pass"},
    "fewlab": {"lines": "for i in 0..10_000 { print(`line ${i}`); }", "loop": "loop {}"},
}


class Kernel:
    def __init__(self, name):
        begun = time.perf_counter()
        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.kernel_info()
        self.client.get_shell_msg(timeout=60)
        self.started = time.perf_counter() - begun
        self.client.wait_for_ready(timeout=60)

    def run(self, code, while_it_runs=None):
        """Seconds until the answer has come and all is published, and the lines printed."""
        begun = time.perf_counter()
        id = self.client.execute(code, store_history=False)
        if while_it_runs:
            time.sleep(0.5)
            begun = time.perf_counter()
            while_it_runs()
        lines = 0
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != id:
                continue
            if message["msg_type"] == "stream":
                lines += message["content"]["text"].count("\n")
            if message["content"].get("execution_state") == "idle":
                break
        while self.client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != id:
            pass
        return time.perf_counter() - begun, lines

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def measure(name, times):
    code = LANGUAGES[name]
    starts = []
    for _ in range(5):
        kernel = Kernel(name)
        starts.append(kernel.started)
        kernel.close()
    kernel = Kernel(name)
    memory = psutil.Process(kernel.manager.provisioner.process.pid).memory_info().rss
    kernel.run("1 + 1")
    trips = [kernel.run("1 + 1")[0] for _ in range(times)]
    floods = [kernel.run(code["lines"]) for _ in range(5)]
    assert all(lines == 10_000 for _, lines in floods), "lines were lost"
    interrupts = [kernel.run(code["loop"], kernel.manager.interrupt_kernel)[0] for _ in range(5)]
    kernel.close()
    milliseconds = lambda values: round(statistics.median(values) * 1e3, 2)
    return {
        "start to first reply, ms": milliseconds(starts),
        "memory after start, MB": round(memory / 1e6, 1),
        "`1 + 1`, ms": milliseconds(trips),
        "10,000 lines, ms": milliseconds([seconds for seconds, _ in floods]),
        "interrupt of a tight loop, ms": milliseconds(interrupts),
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=100)
    times = arguments.parse_args().times
    peer, ours = measure("python3", times), measure("fewlab", times)
    for what in peer:
        print(json.dumps({"what": what, "ipykernel": peer[what], "fewlab": ours[what], "ratio": round(ours[what] / peer[what], 3)}))


if __name__ == "__main__":
    main()
