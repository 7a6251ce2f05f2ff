"""A session in JupyterLab, in the browser given as the first argument: run, watch, interrupt, go on, complete, restart.

With `SHOTS=DIR` pictures of the window are left there.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nbformat
from playwright.sync_api import expect, sync_playwright

PATIENCE = 60_000
METADATA = {"kernelspec": {"name": "fewlab", "display_name": "Fewlab (Rhai)", "language": "rhai"}}
OPTIONS = (
    '#{ steps: %d, batch: 16, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, '
    "sample_every: 10, standing_batches: 1 }"
)
CELLS = [
    'let data = data::load("fashion-mnist-10k");\ndata.train',
    "tensor::zeros([2, 3])",
    "let gan = gan::train(data.train.take(640), %s);" % (OPTIONS % 1_000_000),
    "gan.train(#{ steps: 3 });\ngan",
    "gan.missing()",
]
BROWSER = shutil.which(sys.argv.pop(1))


class Lab(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        book = nbformat.v4.new_notebook(metadata=METADATA, cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
        self.path = Path(folder.name, "book.ipynb")
        nbformat.write(book, self.path)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--port=0", "--allow-root", "--IdentityProvider.token=",
             f"--ServerApp.root_dir={folder.name}", "--LabApp.news_url=", "--LabApp.expose_app_in_browser=True", "--LabApp.check_for_updates_class="
             "jupyterlab.NeverCheckForUpdate"],
            stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(self.stop)
        for line in self.server.stderr:
            found = re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/", line)
            if found:
                self.url = found.group()
                break
        # Nobody else reads what it says, and a full pipe would stop it.
        self.reader = subprocess.Popen(["cat"], stdin=self.server.stderr, stdout=subprocess.DEVNULL)
        self.playwright = sync_playwright().start()
        self.addCleanup(self.playwright.stop)
        browser = self.playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        self.addCleanup(browser.close)
        self.page = browser.new_page(viewport={"width": 1200, "height": 1400})
        self.page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)

    def stop(self):
        self.server.terminate()
        self.server.wait()
        self.reader.wait()

    def shot(self, name):
        if os.environ.get("SHOTS"):
            self.page.screenshot(path=str(Path(os.environ["SHOTS"], f"{name}.png")))

    def cell(self, number):
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def run_cell(self, number):
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def ended(self, number):
        expect(self.cell(number).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))

    def output(self, number):
        return self.cell(number).locator(".jp-OutputArea")

    def command(self, name):
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def test_a_session(self):
        page = self.page
        page.goto(f"{self.url}lab/tree/book.ipynb?reset")
        expect(page.locator(".jp-Toolbar-kernelName")).to_have_text(re.compile("Fewlab"))
        self.run_cell(0)
        self.ended(0)
        expect(self.output(0)).to_contain_text("fashion-mnist-10k")
        self.run_cell(1)
        self.ended(1)
        expect(self.output(1)).to_contain_text("[2, 3]")

        # The code is coloured: keywords and strings have classes of their own.
        self.assertGreater(self.cell(0).locator(".cm-content span").count(), 2)
        self.shot("1-values")

        # The live figure moves while the cell runs, and the interrupt keeps what was reached.
        self.run_cell(2)
        words = lambda: self.output(2).inner_text()
        expect(self.output(2)).to_contain_text(re.compile(r"\d+/1000000"))
        first = words()
        page.wait_for_function(
            "([before]) => { const seen = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[2]"
            ".querySelector('.jp-OutputArea').innerText; return seen !== before && seen.length > 0; }", arg=[first],
        )
        expect(self.output(2).locator("svg.figure").first).to_be_visible()
        expect(self.output(2).locator("img").first).to_be_visible()
        self.shot("2-training")
        self.command("notebook:interrupt-kernel")
        self.ended(2)
        expect(self.output(2)).to_contain_text("stopped at step")
        expect(self.output(2)).to_contain_text("interrupted")
        self.shot("3-interrupted")

        # Training goes on from there; an error shows its line.
        self.run_cell(3)
        self.ended(3)
        expect(self.output(3)).to_contain_text("steps on fashion-mnist-10k/train")
        self.run_cell(4)
        self.ended(4)
        expect(self.output(4)).to_contain_text("error:")
        self.shot("4-error")

        # Completion and the manual.
        self.cell(4).locator(".cm-content").click()
        page.keyboard.press("Control+A")
        page.keyboard.type("gan::tr")
        page.keyboard.press("Tab")
        expect(page.locator(".jp-Completer")).to_be_visible()
        self.shot("5-completion")
        page.keyboard.press("Enter")
        expect(self.cell(4).locator(".cm-content")).to_contain_text("gan::train(")
        page.keyboard.press("Shift+Tab")
        expect(page.locator(".jp-Tooltip")).to_contain_text("Trains a GAN on a labelled set")
        self.shot("6-tooltip")
        page.keyboard.press("Escape")

        # What is saved has the figure as a picture that needs no kernel.
        self.command("docmanager:save")
        page.wait_for_function("() => document.querySelectorAll('.lm-TabBar-tab.jp-mod-dirty').length === 0")
        saved = nbformat.read(self.path, 4)
        figure = next(output for output in saved.cells[2].outputs if "text/html" in output.get("data", {}))
        self.assertIn("stopped at step", figure["data"]["text/html"])
        self.assertIn("<svg", figure["data"]["text/html"])
        self.assertNotIn("application/vnd.jupyter.widget-view+json", figure["data"])

        # A restart forgets the variables.
        page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        page.keyboard.press("Escape")
        self.run_cell(3)
        self.ended(3)
        expect(self.output(3)).to_contain_text("`gan` is a namespace")
        self.shot("7-restarted")


if __name__ == "__main__":
    unittest.main(verbosity=2)
