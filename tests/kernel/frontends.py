"""Front ends without a window: nbconvert, papermill, jupyter console."""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient

PATIENCE = 120
METADATA = {"kernelspec": {"name": "fewlab", "display_name": "Fewlab (Rhai)", "language": "rhai"}}


def notebook(*cells):
    book = nbformat.v4.new_notebook(metadata=METADATA)
    for cell in cells:
        tags = cell[1] if isinstance(cell, tuple) else []
        code = cell[0] if isinstance(cell, tuple) else cell
        book.cells.append(nbformat.v4.new_code_cell(code, metadata={"tags": tags} if tags else {}))
    return book


def texts(book):
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            found.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "".join(found)


class FrontEnds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, book):
        path = self.folder / "book.ipynb"
        nbformat.write(book, path)
        return str(path)

    def jupyter(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE * 4,
        )

    def test_nbconvert_executes_and_keeps_outputs(self):
        path = self.write(notebook("let x = tensor::zeros([2, 3]); x", "show(figure::curves(#{ d: [1.0, 0.5] }))"))
        done = self.jupyter("nbconvert", "--to", "html", "--execute", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        page = (self.folder / "book.html").read_text()
        self.assertIn("[2, 3]", page)
        self.assertTrue("image/svg+xml" in page or "<svg" in page, "no figure on the page")
        done = self.jupyter("nbconvert", "--to", "notebook", "--execute", "--inplace", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.jupyter("nbconvert", "--to", "script", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("tensor::zeros", (self.folder / "book.rhai").read_text())

    def test_nbconvert_says_which_cell_failed(self):
        done = self.jupyter("nbconvert", "--to", "notebook", "--execute", self.write(notebook("let a = 1;", "a + missing")))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("there is no variable `missing`", done.stderr)

    def test_a_training_is_saved_as_a_picture(self):
        options = '#{ steps: 40, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16 }'
        book = notebook(f'let gan = gan::train(data::load("fashion-mnist-10k").train.take(64), {options});')
        NotebookClient(book, kernel_name="fewlab", timeout=PATIENCE).execute()
        outputs = book.cells[0].outputs
        self.assertEqual(len(outputs), 1)
        self.assertIn("40 steps in", outputs[0].data["text/plain"])
        self.assertIn("<svg", outputs[0].data["text/html"])

    def test_papermill_gives_parameters(self):
        book = notebook(
            ('let labels = param("labels", 0.1); let name = param("name", "s3gan");', ["parameters"]),
            'print(`${labels} ${name} ${param("steps", 5)} ${param("labels", 0.1)}`);',
        )
        out = str(self.folder / "out.ipynb")
        done = self.jupyter(
            "papermill", self.write(book), out, "--language", "python", "-p", "labels", "0.05", "-p", "name", "big gan",
            "-p", "steps", "7",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.05 big gan 7 0.05", texts(nbformat.read(out, 4)))

    def test_jupyter_console(self):
        parent, child = pty.openpty()
        console = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "console", "--kernel", "fewlab", "--ZMQTerminalInteractiveShell.simple_prompt=True"],
            stdin=child, stdout=child, stderr=child, cwd=self.folder, env=dict(os.environ, TERM="dumb"), close_fds=True,
        )
        os.close(child)
        seen = ""

        def until(text):
            nonlocal seen
            end = time.monotonic() + PATIENCE
            while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen):
                self.assertLess(time.monotonic(), end, seen)
                if select.select([parent], [], [], 1)[0]:
                    try:
                        seen += os.read(parent, 65536).decode(errors="replace")
                    except OSError:
                        self.fail(seen)

        try:
            until("In [1]:")
            os.write(parent, b"let a = 20;\r")
            until("In [2]:")
            os.write(parent, b"2 * a + 1\r")
            until("Out[2]: 41")
            os.write(parent, b"missing\r")
            until("there is no variable `missing`")
        finally:
            console.kill()
            console.wait()
            os.close(parent)


if __name__ == "__main__":
    unittest.main(verbosity=2)
