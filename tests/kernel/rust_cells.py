"""`%%rust` cells as a Jupyter client sees them: output, values, errors, interrupts, completion, inspection."""

import time
import unittest

from jupyter_client.manager import start_new_kernel

PATIENCE = 600


class RustCells(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager, cls.client = start_new_kernel(kernel_name="fewlab", startup_timeout=PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel(now=True)

    def run_cell(self, code, interrupt_after=None):
        """The answer, what was printed by stream, the bundles shown, and the lines of the error."""
        id = self.client.execute(code)
        streams, bundles, error = {"stdout": "", "stderr": ""}, [], ""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                streams[content["name"]] += content["text"]
                if interrupt_after and interrupt_after in content["text"]:
                    self.manager.interrupt_kernel()
            elif kind in ("display_data", "execute_result"):
                bundles.append(content["data"])
            elif kind == "error":
                error = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            answer = self.client.get_shell_msg(timeout=PATIENCE)
            if answer["parent_header"].get("msg_id") == id:
                return answer["content"], streams, bundles, error

    def value(self, code):
        answer, streams, bundles, error = self.run_cell(code)
        self.assertEqual(answer["status"], "ok", error)
        return bundles[-1]["text/plain"] if bundles else None

    def test_a_session(self):
        # Values, output in its streams, state.
        answer, streams, bundles, _ = self.run_cell(
            '%%rust\nuse std::collections::BTreeMap;\nprintln!("to one"); eprintln!("to two");\nlet many = vec![1, 2, 3];\nmany.len()'
        )
        self.assertEqual(answer["status"], "ok")
        self.assertEqual((streams["stdout"], streams["stderr"].strip()), ("to one\n", "to two"))
        self.assertEqual(bundles[-1]["text/plain"], "3")
        self.assertEqual(self.value("%%rust\nmany.iter().sum::<i32>()"), "6")
        self.assertIn("many: Vec<i32>", self.value("%%rust\n:vars"))

        # Rich values by evcxr's protocol.
        page = '%%rust\nprintln!("EVCXR_BEGIN_CONTENT text/html\\n<b>bold</b>\\nEVCXR_END_CONTENT");'
        self.assertEqual(self.run_cell(page)[2][-1]["text/html"], "<b>bold</b>")

        # Redefinition, and functions of functions.
        self.run_cell("%%rust\n/// Adds one.\n#[export]\nfn more(x: f64) -> f64 { x + 1.0 }")
        self.assertEqual(self.value("rust::more(1)"), "2.0")
        self.run_cell("%%rust\n/// Adds ten.\n#[export]\nfn more(x: f64) -> f64 { x + 10.0 }")
        self.assertEqual(self.value("rust::more(1)"), "11.0")

        # The compiler's words at the cell's line; a panic is an error; nothing is lost.
        answer, _, _, error = self.run_cell("%%rust\nlet a = 1;\nlet b: u8 = a + missing;")
        self.assertEqual(answer["status"], "error")
        self.assertIn("cannot find value `missing`", error)
        self.assertIn("]:3:", error)
        answer, _, _, error = self.run_cell('%%rust\npanic!("no more");')
        self.assertEqual(answer["status"], "error")
        self.assertIn("the cell panicked: no more", error)
        self.assertEqual(self.value("%%rust\nmany.len()"), "3")

        # Tab and Shift-Tab know what is exported.
        self.client.complete("rust::mo", 8)
        self.assertEqual(self.client.get_shell_msg(timeout=PATIENCE)["content"]["matches"], ["more("])
        self.client.inspect("rust::more(", 11)
        self.assertIn("Adds ten.", self.client.get_shell_msg(timeout=PATIENCE)["content"]["data"]["text/plain"])
        code = "%%rust\nmany.is_emp"
        self.client.complete(code, len(code))
        matches = self.client.get_shell_msg(timeout=PATIENCE)["content"]["matches"]
        self.assertTrue(any(match.startswith("is_empty") for match in matches), matches)

        # An interrupt stops a cell and a call, and Rhai keeps its variables.
        self.run_cell("let mine = 5;")
        self.run_cell('%%rust\n#[export]\nfn forever() { eprintln!("calling"); loop { std::hint::spin_loop(); } }')
        answer, _, _, error = self.run_cell('%%rust\nprintln!("running");\nloop { std::hint::spin_loop(); }', "running")
        self.assertEqual((answer["status"], answer["ename"]), ("error", "Interrupted"), error)
        self.assertEqual(self.value("rust::more(mine)"), "15.0")
        answer, _, _, error = self.run_cell('print("calling"); rust::forever()', "calling")
        self.assertEqual((answer["status"], answer["ename"]), ("error", "Interrupted"), error)
        self.assertEqual(self.value("rust::more(mine)"), "15.0")

        # `:clear` forgets, and `%reset` begins anew.
        self.run_cell("%%rust\n:clear")
        answer, _, _, error = self.run_cell("rust::more(1)")
        self.assertIn("there is no `rust::more`", error)

    def test_a_call_takes_no_time(self):
        self.run_cell("%%rust\n#[export]\nfn same(x: &Tensor) -> Tensor { x.clone() }")
        self.run_cell("let small = normal([8, 8]); let large = normal([4096, 4096]);")
        self.run_cell("for i in 0..10 { rust::same(small); rust::same(large); }")
        for name, count in (("small", 1000), ("large", 10)):
            begun = time.monotonic()
            self.run_cell(f"for i in 0..{count} {{ rust::same({name}); }}")
            # For whoever measures; nothing depends on it.
            print(f"{name}: {1e3 * (time.monotonic() - begun) / count:.3f} ms")


if __name__ == "__main__":
    unittest.main()
