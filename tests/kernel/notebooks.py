"""The tutorial in `examples/`: every notebook runs, and gives what is saved in it.

`notebooks.py` executes copies in a temporary folder and compares; `notebooks.py --save [NAME..]` executes the notebooks
whose file names begin so, or all of them, and saves them with what they gave.

What must agree: each cell gives as many outputs as before, of the same kinds and MIME types. The bytes of pictures and
pages are not compared. Words in texts are the same and numbers agree within `EXACT`; durations are left out, they belong
to the machine. Training is the same bit by bit on one machine, but not on processors with other vector instructions,
where sums are rounded in another order and hundreds of steps make much of it: in cells with the tag `trained` only a text
that is one number is compared, within `TRAINED`.
"""

import math
import os
import re
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 900  # Seconds for one cell on a machine that is busy with other tests; nothing here is timed.
EXACT = 1e-3  # Relative to the number. Texts show four digits; the last may fall on either side.
TRAINED = 0.15  # Of one, for accuracies; of the number, for larger ones: several times what another seed changes.
LARGEST = 600_000  # Bytes of a file.
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
DURATION = re.compile(r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s)\b")


def execute(path, folder):
    """The notebook at a path, executed in a folder."""
    book = nbformat.read(path, 4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # Printed lines arrive in one message or in several, as time goes; they are one output, as in JupyterLab.
    how = {"timeout": PATIENCE, "record_timing": False, "coalesce_streams": True}
    NotebookClient(book, kernel_name="fewlab", resources={"metadata": {"path": str(folder)}}, **how).execute()
    return book


def kinds(output):
    """What an output is made of, and not what it says."""
    return (output.output_type, output.get("name"), tuple(sorted(output.get("data", {}))))


def said(output):
    """The text of an output, without durations and without colours."""
    text = output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\u2212", "-")
    return DURATION.sub("some time", text)


def close(was, now, tolerance):
    was, now = float(was), float(now)
    return math.isclose(was, now, rel_tol=tolerance, abs_tol=tolerance * 1e-3)


def difference(cell, was, now):
    """What differs between a saved output of a cell and the same output now; nothing if they agree."""
    if kinds(was) != kinds(now):
        return f"was {kinds(was)}, is {kinds(now)}"
    before, after = said(was), said(now)
    numbers = list(zip(NUMBER.findall(before), NUMBER.findall(after)))
    if "trained" in cell.metadata.get("tags", []):
        alone = NUMBER.fullmatch(before.strip())
        if not alone:
            return None
        if not NUMBER.fullmatch(after.strip()):
            return f"was {before}, is {after}"
        value, other = float(before), float(after)
        agree = abs(value - other) <= TRAINED * max(1.0, abs(value))
    else:
        words = [NUMBER.sub("#", text).split() for text in (before, after)]
        agree = words[0] == words[1] and all(close(was, now, EXACT) for was, now in numbers)
    return None if agree else f"was\n{before}\nis\n{after}"


def differences(saved, now):
    """All that differs between a saved notebook and an execution of it."""
    found = []
    for number, (cell, again) in enumerate(zip(saved.cells, now.cells), 1):
        if cell.cell_type != "code":
            continue
        place = f"cell {number} ({cell.source.splitlines()[0][:60]})"
        if cell.execution_count is None:
            found.append(f"{place} was saved without having run")
        if len(cell.outputs) != len(again.outputs):
            found.append(f"{place} had {len(cell.outputs)} outputs, has {len(again.outputs)}")
        for was, is_now in zip(cell.outputs, again.outputs):
            said = difference(cell, was, is_now)
            if said:
                found.append(f"{place}: {said}")
    return found


class Tutorial(unittest.TestCase):
    def check(self, path):
        saved = nbformat.read(path, 4)
        nbformat.validate(saved)
        self.assertLessEqual(path.stat().st_size, LARGEST)
        self.assertEqual(saved.metadata.kernelspec.name, "fewlab")
        with tempfile.TemporaryDirectory() as folder:
            found = differences(saved, execute(path, folder))
        self.assertEqual(found, [], "\n".join([f"{path.name} gives something else than is saved in it:", *found]))

    def test_there_are_notebooks(self):
        self.assertEqual([path.name[:3] for path in notebooks()], [f"0{number}_" for number in range(1, 10)])

    def test_a_change_is_noticed(self):
        cell = nbformat.v4.new_code_cell("2 * x", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "0.75"}, execution_count=1)]
        book = nbformat.v4.new_notebook(cells=[cell])

        def changed(change, tags=()):
            was, now = nbformat.from_dict(book), nbformat.from_dict(book)
            was.cells[0].metadata["tags"] = list(tags)
            change(was.cells[0], now.cells[0])
            return len(differences(was, now))

        def text(value):
            return lambda was, now: now.outputs[0].data.update({"text/plain": value})

        self.assertEqual(changed(text("0.75")), 0)
        self.assertEqual(changed(text("0.7502")), 0)
        self.assertEqual(changed(text("0.76")), 1)
        self.assertEqual(changed(text("0.76"), ["trained"]), 0)
        self.assertEqual(changed(text("0.55"), ["trained"]), 1)
        self.assertEqual(changed(text("none"), ["trained"]), 1)
        self.assertEqual(changed(text("about 0.75")), 1)
        self.assertEqual(changed(lambda was, now: was.outputs.clear()), 1)
        self.assertEqual(changed(lambda was, now: was.update(execution_count=None)), 1)
        self.assertEqual(changed(lambda was, now: now.outputs[0].data.update({"image/png": "…"})), 1)
        self.assertEqual(difference_of("took 3.5 s", "took 1m08s"), None)
        self.assertNotEqual(difference_of("took 3 steps", "took 4 steps"), None)


def difference_of(before, after):
    outputs = [nbformat.v4.new_output("stream", text=text) for text in (before, after)]
    return difference(nbformat.v4.new_code_cell(""), *outputs)


def notebooks():
    return sorted(FOLDER.glob("*.ipynb"))


def add(path):
    setattr(Tutorial, f"test_{path.stem}", lambda self: self.check(path))


def save(names):
    for path in notebooks():
        if names and not path.name.startswith(tuple(names)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            book = execute(path, folder)
            written = Path(folder) / path.name
            nbformat.write(book, written)
            shutil.copyfile(written, path)
        print(f"{path.name}: {time.monotonic() - begin:.0f} s, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    if "--save" in sys.argv:
        save([argument for argument in sys.argv[1:] if argument != "--save"])
    else:
        for path in notebooks():
            # What Rust cells need takes minutes to compile; their own tests do it, and run this notebook then.
            if "%%rust" not in path.read_text() or os.environ.get("FEWLAB_TEST_RUST_CELLS"):
                add(path)
        unittest.main(verbosity=2)
