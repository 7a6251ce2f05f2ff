"""Measures ours beside PyTorch, torch-fidelity and prdc on the same work, in turn, and writes the tables of RESULTS.md.

python compare.py FEWLAB [--rounds 3] [--only steps,operators,script,loop,heads,growth] [--prefix "chrt -f 5"]

Ratios are ours to the peer's: below 1 ours is faster or smaller. Rounds alternate, so that a slow minute of the machine hits all
alike: of steps process by process, elsewhere line by line, ours and the peer's awake in turn. Of PyTorch's two layouts the faster one counts.
"""

import argparse
import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
# Seconds between commands, for the other programs of the machine, which wait while one runs at real-time priority.
REST = float(os.environ.get("REST", 0))


def run(command):
    """The lines that a command printed, and the most memory it had, in MB."""
    with tempfile.TemporaryFile("w+") as out:
        time.sleep(REST)
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
        _, error = process.stdout, process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        lines = out.read().strip().splitlines()
        if status != 0 or not lines:
            sys.exit(f"failed ({status}): {shlex.join(command)}\n{error}")
        return lines, usage.ru_maxrss / 1024


def in_turn(commands):
    """The lines of commands that run at once, but of which one at a time is awake: each until it has printed a line. So they share
    slow moments of the machine line by line. Gives the number of the command with each line."""
    started, waiting = {}, list(range(len(commands)))
    with tempfile.TemporaryFile("w+") as errors:
        try:
            while waiting:
                for number in list(waiting):
                    time.sleep(REST)
                    if number not in started:
                        started[number] = subprocess.Popen(commands[number], stdout=subprocess.PIPE, stderr=errors, text=True)
                    else:
                        started[number].send_signal(signal.SIGCONT)
                    line = started[number].stdout.readline()
                    if line:
                        started[number].send_signal(signal.SIGSTOP)
                        yield number, line.strip()
                        continue
                    waiting.remove(number)
                    if started[number].wait() != 0:
                        errors.seek(0)
                        sys.exit(f"failed: {shlex.join(commands[number])}\n{errors.read()}")
        finally:
            # Nothing stays behind asleep, whatever went wrong.
            for process in started.values():
                process.kill()


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder

    def ours(self, script, *settings):
        sets = [word for setting in settings for word in ("--set", setting)]
        prefix = shlex.split(self.args.prefix)
        return prefix + [self.args.fewlab, "run", str(HERE / script), "--quiet", "--threads", str(self.args.threads), "--out", self.folder, *sets]

    def peer(self, script, *arguments):
        return shlex.split(self.args.prefix) + [sys.executable, str(HERE / script), "--threads", str(self.args.threads), *arguments]

    def steps(self):
        weights = os.path.join(self.folder, "inception.pth")
        run_quietly = subprocess.run(self.peer("steps.py", "inception", "--save", weights), capture_output=True)
        jobs = [
            ("GAN step, 64 channels", "gan", 64, "ms"), ("GAN step, 128 channels", "gan", 128, "ms"),
            ("S3GAN step, 64 channels", "s3gan", 64, "ms"), ("WGAN-GP step, 64 channels", "wgan_gp", 64, "ms"),
            ("rotation pre-training step", "rotation", 0, "ms"), ("S2L step", "s2l", 0, "ms"),
            ("SqueezeNet features", "squeezenet", 0, "images/s"),
        ]  # fmt: skip
        if run_quietly.returncode == 0:
            jobs.append(("InceptionV3 features", "inception", 0, "images/s"))
        limit = self.limit()
        if limit:
            yield f"The machine's arithmetic limit is {limit:.0f} GFLOP/s (`peak.rs`). \"Of the limit\" is the time that a step's products would"
            yield "take at that rate if all convolutions were direct, to ours: Winograd's way can pass 1."
            yield ""
        yield "| | unit | fewlab | NCHW | channels_last | time ratio | GFLOP | of the limit | fewlab MB | PyTorch MB | memory ratio |"
        yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        for title, step, channels, unit in jobs:
            size = [f"channels={channels}"] if channels else []
            commands = [
                self.ours("steps.rhai", f"step={step}", f"weights={weights}", *size),
                self.peer("steps.py", step, "--channels", str(channels or 64)),
                self.peer("steps.py", step, "--channels", str(channels or 64), "--channels-last"),
            ]
            seen = [[] for _ in commands]
            for _ in range(self.args.rounds):
                for command, values in zip(commands, seen):
                    lines, peak = run(command)
                    values.append((float(lines[-1].split()[0]), peak))
            times = [statistics.median(v[0] for v in values) for values in seen]
            peaks = [max(v[1] for v in values) for values in seen]
            best = 1 if times[1] <= times[2] else 2
            work = float(run(commands[1] + ["--flops"])[0][-1])
            share = f"{work / limit / times[0] * 1000:.2f}" if limit else ""
            shown = times if unit == "ms" else [64_000 / t for t in times]
            yield (
                f"| {title} | {unit} | {shown[0]:.0f} | {shown[1]:.0f} | {shown[2]:.0f} | {times[0] / times[best]:.2f} | "
                f"{work:.0f} | {share} | {peaks[0]:.0f} | {peaks[best]:.0f} | {peaks[0] / peaks[best]:.2f} |"
            )

    def limit(self):
        """10^9 operations a second that the arithmetic units reach, as far as there is a compiler to ask."""
        program = os.path.join(self.folder, "peak")
        if subprocess.run(["rustc", "--edition", "2024", "-O", str(HERE / "peak.rs"), "-o", program], capture_output=True).returncode != 0:
            return None
        return float(run([program, str(self.args.threads)])[0][-1])

    def lines(self, commands):
        """Of commands that print names and numbers: for each name the least number of each command."""
        best = [{} for _ in commands]
        for _ in range(self.args.rounds):
            for values, line in in_turn(commands):
                name, number = line.split("\t")
                best[values][name] = min(float(number), best[values].get(name, float("inf")))
        return {name: [values[name] for values in best] for name in best[0] if all(name in values for values in best)}

    def pairs(self, unit, commands):
        yield f"| | fewlab, {unit} | peer, {unit} | ratio |"
        yield "|---|--:|--:|--:|"
        for name, (ours, peer) in self.lines(commands).items():
            yield f"| {name} | {ours:.3g} | {peer:.3g} | {ours / peer:.2f} |"

    def operators(self):
        yield from self.pairs("ms", [self.ours("operators.rhai"), self.peer("operators.py")])

    def script(self):
        seen = self.lines([self.ours("script.rhai"), shlex.split(self.args.prefix) + [sys.executable, str(HERE / "script.py")]])
        yield "| | fewlab, µs | peer, µs | ratio | ratio without the loop and the assignment |"
        yield "|---|--:|--:|--:|--:|"
        loop = seen["nothing"]
        for name, (ours, peer) in seen.items():
            alone = f"{(ours - loop[0]) / (peer - loop[1]):.2f}" if name != "nothing" else ""
            yield f"| {name} | {ours:.3g} | {peer:.3g} | {ours / peer:.2f} | {alone} |"

    def loop(self):
        yield "| | in a script, ms | `gan::train`, ms | ratio |"
        yield "|---|--:|--:|--:|"
        for channels in (32, 64):
            seen = self.lines([self.ours("loop.rhai", f"channels={channels}", "steps=12")])
            (script,), (builtin,) = seen["script"], seen["builtin"]
            yield f"| GAN step, {channels} channels | {script:.4g} | {builtin:.4g} | {script / builtin:.3f} |"

    def heads(self):
        yield from self.pairs("s", [self.ours("heads.rhai"), self.peer("heads.py")])

    def growth(self):
        yield "The work of images is counted as their features', which grow with their number; KID and precision to coverage look at pairs."
        yield ""
        yield "| | times as much work | seconds | times the seconds | peak MB |"
        yield "|---|--:|--:|--:|--:|"
        rows = []
        for what, values in [("batch", (16, 32, 64, 128)), ("channels", (16, 32, 64, 128)), ("images", (500, 1000, 2000, 4000)), ("steps", (2, 4, 8, 16))]:
            first = None
            for value in values:
                lines, peak = run(self.ours("growth.rhai", f"what={what}", f"value={value}"))
                seconds = float(lines[-1])
                first = first or (value, seconds)
                # Most of a step's work grows with the square of its channels.
                work = (value / first[0]) ** (2 if what == "channels" else 1)
                rows.append((what, work, seconds / first[1], peak))
                yield f"| {value} {what} | {work:.0f} | {seconds:.3f} | {seconds / first[1]:.1f} | {peak:.0f} |"
        first = None
        for trials in (8, 32, 128, 512):
            study = [self.args.fewlab, "study", "run", str(HERE / "growth_trial.rhai"), "--grid", "x=" + ",".join(map(str, range(trials)))]
            study += ["--seeds", "1", "--metric", "value", "--root", os.path.join(self.folder, f"studies-{trials}")]
            begun = time.perf_counter()
            _, peak = run(shlex.split(self.args.prefix) + study)
            seconds = time.perf_counter() - begun
            first = first or seconds
            rows.append(("trials", trials / 8, seconds / first, peak))
            yield f"| {trials} trials | {trials / 8:.0f} | {seconds:.3f} | {seconds / first:.1f} | {peak:.0f} |"
        table = os.path.join(self.folder, "growth.csv")
        pathlib.Path(table).write_text("\n".join(f"{what},{work},{times},{peak}" for what, work, times, peak in rows))
        picture = HERE / "growth.svg"
        run(self.ours("growth_plot.rhai", f"rows={';'.join(f'{w},{a},{b}' for w, a, b, _ in rows)}", f"picture={picture}"))
        yield ""
        yield "![time against work, both in multiples of the first](growth.svg)"


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, {'AVX-512' if 'avx512f' in info else 'AVX2' if 'avx2' in info else 'no AVX2'}"


TITLES = {
    "steps": "Whole steps", "operators": "Single operators", "script": "A native function called from a script",
    "loop": "A training loop written in a script",
    "heads": "Heads of the metrics, 10,000 + 10,000 images, 2048 dimensions", "growth": "Growth",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fewlab")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(TITLES))
    parser.add_argument("--prefix", default="", help="what every command is started with, such as `chrt -f 5`")
    parser.add_argument("--note", default="", help="what the machine was doing besides")
    args = parser.parse_args()
    commit = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torch-fidelity", "prdc"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        bench = Bench(args, folder)
        for name in args.only.split(","):
            head = f"{datetime.date.today()}, commit {commit}, {machine()}, {args.threads} threads, {args.rounds} rounds, {versions}."
            lines = [f"## {TITLES[name]}", "", head + (f" {args.note}" if args.note else ""), "", *getattr(bench, name)()]
            text = "\n".join(lines)
            print(text, flush=True)
            write(name, text)


def write(name, text):
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    old = RESULTS.read_text()
    block = f"{begin}\n{text}\n{end}"
    if begin in old:
        RESULTS.write_text(old[: old.index(begin)] + block + old[old.index(end) + len(end) :])
    else:
        RESULTS.write_text(old.rstrip() + "\n\n" + block + "\n")


main()
