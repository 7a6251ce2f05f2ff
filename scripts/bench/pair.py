"""Runs commands in turn, several rounds, and prints the median time each reports, its peak memory and the ratios to the first.

python pair.py --rounds 5 'ours=COMMAND' 'torch=COMMAND' ...
Each command ends its output with a line of two numbers: milliseconds, the median and the least of its steps.
The ratio is that of the medians over rounds; rounds alternate, so that a slow minute of the machine hits all alike.
"""
import os
import shlex
import statistics
import subprocess
import sys
import tempfile


def run(command):
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(shlex.split(command), stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        lines = out.read().strip().splitlines()
        if status != 0 or not lines:
            sys.exit(f"failed ({status}): {command}")
        median, least = map(float, lines[-1].split())
        return median, least, usage.ru_maxrss / 1024


def main():
    rounds = 5
    arguments = sys.argv[1:]
    if arguments[:1] == ["--rounds"]:
        rounds, arguments = int(arguments[1]), arguments[2:]
    commands = [argument.split("=", 1) for argument in arguments]
    results = {name: [] for name, _ in commands}
    for _ in range(rounds):
        for name, command in commands:
            results[name].append(run(command))
    first = None
    print("| | median ms | least ms | peak MB | time ratio | memory ratio |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, values in results.items():
        median = statistics.median(v[0] for v in values)
        least = min(v[1] for v in values)
        peak = max(v[2] for v in values)
        first = first or (median, peak)
        print(f"| {name} | {median:.0f} | {least:.0f} | {peak:.0f} | {first[0] / median:.2f} | {first[1] / peak:.2f} |")


main()
