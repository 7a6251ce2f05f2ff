"""The protocol over real sockets: order, interrupts, floods, strangers, widgets, subshells."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import psutil
import zmq
from jupyter_client import KernelManager
from jupyter_client.session import Session

PATIENCE = int(os.environ.get("PATIENCE", 120))  # Seconds of silence before a test gives up; nothing here is timed.
TINY = (
    '#{ steps: %d, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16, d_channels: 16, '
    "z_dim: 8, sample_every: 5, standing_batches: 1 }"
)
DATA = 'data::load("fashion-mnist-10k").train.take(64)'


class Kernel:
    """A kernel and a client that takes whatever comes."""

    def __init__(self, env=None):
        self.manager = KernelManager(kernel_name="fewlab")
        self.manager.start_kernel(env=dict(os.environ, **(env or {})))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.ask("kernel_info_request", {})

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    @property
    def pid(self):
        return self.manager.provisioner.process.pid

    def send(self, kind, content, channel="shell", header=None):
        message = self.client.session.msg(kind, content)
        message["header"].update(header or {})
        getattr(self.client, f"{channel}_channel").send(message)
        return message["header"]["msg_id"]

    def reply(self, id, channel="shell"):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = getattr(self.client, f"{channel}_channel").get_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == id:
                return message
        raise TimeoutError(id)

    def ask(self, kind, content, channel="shell", header=None):
        return self.reply(self.send(kind, content, channel, header), channel)["content"]

    def start(self, code, **more):
        header = more.pop("header", None)
        content = dict(code=code, silent=False, store_history=True, user_expressions={}, allow_stdin=False, stop_on_error=True)
        return self.send("execute_request", dict(content, **more), header=header)

    def published(self, id, until="idle"):
        """What is published about a request, up to `idle` or to the first message of a kind."""
        seen = []
        while True:
            message = self.client.iopub_channel.get_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != id:
                continue
            seen.append(message)
            state = message["content"].get("execution_state")
            if state == until or message["msg_type"] == until:
                return seen

    def run(self, code, **more):
        id = self.start(code, **more)
        return self.reply(id)["content"], self.published(id)

    def text(self, code, **more):
        """What a cell prints and shows as text, and the message of its error."""
        reply, seen = self.run(code, **more)
        parts = []
        for message in seen:
            content = message["content"]
            if message["msg_type"] == "stream":
                parts.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                parts.append(content["data"]["text/plain"])
            elif message["msg_type"] == "error":
                parts.append(content["evalue"])
        return "".join(parts).strip()


def kinds(seen):
    return [message["msg_type"] for message in seen]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kernel = Kernel()

    @classmethod
    def tearDownClass(cls):
        cls.kernel.close()


class Cells(Case):
    def test_order_of_what_is_published(self):
        reply, seen = self.kernel.run('print("a"); eprint("b"); show(1); 2')
        self.assertEqual(
            kinds(seen),
            ["status", "execute_input", "stream", "stream", "display_data", "execute_result", "status"],
        )
        self.assertEqual(reply["status"], "ok")
        self.assertEqual(reply["execution_count"], seen[1]["content"]["execution_count"])

    def test_ten_thousand_lines_in_order(self):
        reply, seen = self.kernel.run("for i in 0..10_000 { print(`line ${i}`); }")
        streams = [message["content"]["text"] for message in seen if message["msg_type"] == "stream"]
        self.assertEqual("".join(streams), "".join(f"line {i}\n" for i in range(10_000)))
        self.assertLess(len(streams), 100)

    def test_counts_move_only_with_cells_that_are_kept(self):
        first = self.kernel.run("1")[0]["execution_count"]
        reply, seen = self.kernel.run("2", silent=True)
        self.assertEqual(kinds(seen), ["status", "status"])
        self.kernel.run("3", store_history=False)
        self.assertEqual(self.kernel.run("4")[0]["execution_count"], first + 1)

    def test_expressions_beside_a_cell(self):
        reply, _ = self.kernel.run("let beside = 20;", user_expressions={"good": "beside + 1", "bad": "missing"})
        self.assertEqual(reply["user_expressions"]["good"]["data"]["text/plain"], "21")
        self.assertEqual(reply["user_expressions"]["bad"]["status"], "error")
        self.assertIn("there is no variable `missing`", reply["user_expressions"]["bad"]["evalue"])

    def test_an_error_says_where_and_spares_the_variables(self):
        self.kernel.run("let kept = 5;")
        reply, seen = self.kernel.run("let set = 1;\nset + missing")
        error = next(message["content"] for message in seen if message["msg_type"] == "error")
        self.assertEqual((reply["status"], reply["ename"]), ("error", "Error"))
        self.assertEqual(reply["traceback"], error["traceback"])
        self.assertIn(":2:7", "\n".join(error["traceback"]))
        self.assertEqual(self.kernel.text("kept + set"), "6")
        self.assertEqual(self.kernel.run("let = 1")[0]["ename"], "SyntaxError")

    def test_functions_and_results_stay(self):
        self.kernel.run("fn twice(x) { 2 * x }")
        self.assertEqual(self.kernel.text("twice(4)"), "8")
        self.kernel.run("fn twice(x) { 3 * x }")
        number = self.kernel.run("twice(4)")[0]["execution_count"]
        self.assertEqual(self.kernel.text(f"ans + Out[{number}]"), "24")
        self.assertEqual(self.kernel.text(f"In[{number}]"), "twice(4)")

    def test_imports_last(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "tools.rhai").write_text("fn half(x) {\n    x / 2\n}\nfn fail(x) {\n    x + nothing\n}\n")
            self.kernel.run(f'import "{folder}/tools" as tools;')
            self.assertEqual(self.kernel.text("tools::half(8)"), "4")
            reply, _ = self.kernel.run("tools::fail(8)")
            trace = "\n".join(reply["traceback"])
            self.assertIn("tools.rhai:5", trace)
            self.assertIn("called at cell", trace)

    def test_an_error_ends_the_cells_that_were_sent_with_it(self):
        ids = [self.kernel.start(code) for code in ("let q = 1;", "missing()", "let q = 2;", "let q = 3;")]
        states = [self.kernel.reply(id)["content"]["status"] for id in ids]
        self.assertEqual(states, ["ok", "error", "aborted", "aborted"])
        self.assertEqual(self.kernel.text("q"), "1")
        ids = [self.kernel.start("missing()", stop_on_error=False), self.kernel.start("let q = 4;")]
        self.assertEqual([self.kernel.reply(id)["content"]["status"] for id in ids], ["error", "ok"])

    def test_values_shown_again(self):
        reply, seen = self.kernel.run('let place = display("one"); place.update("two"); clear_output(true);')
        self.assertEqual(kinds(seen)[2:5], ["display_data", "update_display_data", "clear_output"])
        first, again = seen[2]["content"], seen[3]["content"]
        self.assertEqual(first["transient"]["display_id"], again["transient"]["display_id"])
        self.assertEqual(again["data"]["text/plain"], "two")
        self.assertTrue(seen[4]["content"]["wait"])

    def test_a_tensor_too_large_is_an_error(self):
        self.assertIn("GB", self.kernel.text("tensor::zeros([1_000_000, 1_000_000])"))
        self.assertEqual(self.kernel.text("1 + 1"), "2")

    def test_magics(self):
        self.kernel.run("let seen = [1, 2];")
        self.assertIn("seen", self.kernel.text("%who"))
        self.assertIn("wall time", self.kernel.text("%time 1 + 1"))
        self.assertIn("per loop", self.kernel.text("%timeit -n 10 -r 2 1 + 1"))
        self.kernel.run('%%capture said\nprint("hidden")')
        self.assertEqual(self.kernel.text("said"), "hidden")
        self.kernel.run("%set labels=0.25")
        self.assertEqual(self.kernel.text('param("labels", 0.1)'), "0.25")
        self.assertIn("there is no magic `tim`", self.kernel.text("%tim 1"))
        self.assertIn(":2:7", "\n".join(self.kernel.run("let a = 1;\n%time missing")[0]["traceback"]))
        self.kernel.run("%reset")
        self.assertIn("there is no variable `seen`", self.kernel.text("seen"))


class Asking(Case):
    def test_lines_that_a_person_types(self):
        for function, hidden in (("input", False), ("password", True)):
            id = self.kernel.start(f'let name = {function}("name: "); "hello " + name', allow_stdin=True)
            question = self.kernel.client.stdin_channel.get_msg(timeout=PATIENCE)
            self.assertEqual(question["content"], {"prompt": "name: ", "password": hidden})
            self.kernel.client.input("Ada")
            self.kernel.reply(id)
            result = [m for m in self.kernel.published(id) if m["msg_type"] == "execute_result"]
            self.assertEqual(result[0]["content"]["data"]["text/plain"], "hello Ada")

    def test_nobody_to_ask_is_an_error(self):
        self.assertIn("does not answer `input`", self.kernel.text('input("name: ")'))

    def test_a_question_can_be_interrupted(self):
        id = self.kernel.start('input("name: ")', allow_stdin=True)
        self.kernel.client.stdin_channel.get_msg(timeout=PATIENCE)
        self.kernel.ask("interrupt_request", {}, "control")
        self.assertEqual(self.kernel.reply(id)["content"]["ename"], "Interrupted")


class Interrupts(Case):
    def interrupted(self, code, interrupt, until="execute_input"):
        id = self.kernel.start(code)
        self.kernel.published(id, until)
        interrupt()
        return self.kernel.reply(id)["content"]

    def by_message(self):
        self.assertEqual(self.kernel.ask("interrupt_request", {}, "control")["status"], "ok")

    def by_signal(self):
        os.kill(self.kernel.pid, signal.SIGINT)

    def test_a_loop_of_the_script(self):
        for interrupt in (self.by_message, self.by_signal):
            reply = self.interrupted('let before = 7; print("looping"); loop {}', interrupt, "stream")
            self.assertEqual((reply["status"], reply["ename"]), ("error", "Interrupted"))
            self.assertEqual(self.kernel.text("before"), "7")

    def test_a_training_keeps_what_it_reached_and_goes_on(self):
        code = f"let gan = gan::train({DATA}, {TINY % 1_000_000});"
        for interrupt in (self.by_message, self.by_signal):
            reply = self.interrupted(code, interrupt, "display_data")
            self.assertEqual(reply["ename"], "Interrupted")
            reached = int(self.kernel.text("gan.step"))
            self.assertGreater(reached, 0)
            self.kernel.run("gan.set(#{ d_lr: 1e-4 }); let other = gan.clone(); gan.train(#{ steps: 3 });")
            self.assertEqual(int(self.kernel.text("gan.step")), reached + 3)
            self.assertEqual(int(self.kernel.text("other.step")), reached)
            self.assertIn("d_lr = 1e-4", self.kernel.text("gan"))

    def test_features_that_were_interrupted_are_of_use(self):
        code = f'let f = ssl::rotation({DATA}.keep_labels(0.5), #{{ network: "resnet-tiny", epochs: 1_000_000, batch: 32 }});'
        self.assertEqual(self.interrupted(code, self.by_message, "display_data")["ename"], "Interrupted")
        self.assertEqual(self.kernel.text("f.dim"), "64")

    def test_the_queue_behind_an_interrupt_is_aborted(self):
        id = self.kernel.start("loop {}")
        later = self.kernel.start("let later = 1;")
        self.kernel.published(id, "execute_input")
        self.by_message()
        self.assertEqual(self.kernel.reply(id)["content"]["status"], "error")
        self.assertEqual(self.kernel.reply(later)["content"]["status"], "aborted")


class WhileACellRuns(Case):
    def setUp(self):
        self.kernel.run("let known = tensor::zeros([2, 3]); fn of_mine(a, b) { a + b }")
        self.id = self.kernel.start("loop {}")
        self.kernel.published(self.id, "execute_input")

    def tearDown(self):
        self.kernel.ask("interrupt_request", {}, "control")
        self.kernel.reply(self.id)

    def matches(self, code):
        return self.kernel.ask("complete_request", {"code": code, "cursor_pos": len(code)})

    def test_completion(self):
        self.assertEqual(self.matches("known.sha")["matches"], ["shape"])
        self.assertEqual(self.matches("of_m")["matches"], ["of_mine("])
        found = self.matches("gan::train(x, #{ penalty_w")
        self.assertEqual(found["matches"], ["penalty_weight: "])
        typed = found["metadata"]["_jupyter_types_experimental"][0]
        self.assertEqual((typed["type"], typed["start"]), ("param", len("gan::train(x, #{ ")))
        self.assertIn("hinge", self.matches('let ä = "hin')["matches"])
        self.assertEqual(self.matches('let ä = "hin')["cursor_start"], 9)

    def test_inspection(self):
        about = self.kernel.ask("inspect_request", {"code": "gan::train(", "cursor_pos": 11, "detail_level": 0})
        self.assertIn("Trains a GAN on a labelled set", about["data"]["text/plain"])
        about = self.kernel.ask("inspect_request", {"code": "known", "cursor_pos": 3, "detail_level": 0})
        self.assertIn("Tensor", about["data"]["text/plain"])
        about = self.kernel.ask("inspect_request", {"code": "of_mine", "cursor_pos": 3, "detail_level": 1})
        self.assertIn("of_mine(a, b)", about["data"]["text/plain"])
        self.assertFalse(self.kernel.ask("inspect_request", {"code": "zzz", "cursor_pos": 3})["found"])

    def test_whether_code_is_whole(self):
        answer = self.kernel.ask("is_complete_request", {"code": "fn f() {"})
        self.assertEqual((answer["status"], answer["indent"]), ("incomplete", "    "))

    def test_answers_do_not_say_that_the_kernel_is_idle(self):
        id = self.kernel.send("complete_request", {"code": "t", "cursor_pos": 1})
        self.kernel.reply(id)
        info = self.kernel.send("kernel_info_request", {})
        seen = []
        while not seen or seen[-1]["parent_header"].get("msg_id") != info:
            seen.append(self.kernel.client.iopub_channel.get_msg(timeout=PATIENCE))
        self.assertNotIn(id, [message["parent_header"].get("msg_id") for message in seen])


class Subshells(Case):
    def test_a_subshell_works_while_a_cell_runs(self):
        self.kernel.run("let shared = 41; let own = 0;")
        subshell = self.kernel.ask("create_subshell_request", {}, "control")["subshell_id"]
        self.assertEqual(self.kernel.ask("list_subshell_request", {}, "control")["subshell_id"], [subshell])
        id = self.kernel.start("loop {}")
        self.kernel.published(id, "execute_input")
        beside = dict(header={"subshell_id": subshell}, store_history=False)
        self.assertEqual(self.kernel.text("shared + 1", **beside), "42")
        self.kernel.run("let mine = 1; fn see() { shared + mine }", **beside)
        self.assertEqual(self.kernel.text("see()", **beside), "42")
        self.kernel.ask("interrupt_request", {}, "control")
        self.kernel.reply(id)
        self.assertIn("there is no variable `mine`", self.kernel.text("mine"))
        self.assertEqual(self.kernel.ask("delete_subshell_request", {"subshell_id": subshell}, "control")["status"], "ok")
        gone = self.kernel.start("1", header={"subshell_id": subshell})
        self.assertEqual(self.kernel.reply(gone)["content"]["status"], "error")
        again = self.kernel.ask("delete_subshell_request", {"subshell_id": subshell}, "control")
        self.assertEqual(again["status"], "error")


class LiveFigures(Case):
    def test_one_figure_moves_and_stays(self):
        _, seen = self.kernel.run(f"let gan = gan::train({DATA}, {TINY % 60});")
        shown = [message["content"] for message in seen if "display_data" in message["msg_type"]]
        self.assertEqual(kinds(seen).count("display_data"), 1)
        self.assertEqual(len({content["transient"]["display_id"] for content in shown}), 1)
        last = shown[-1]["data"]
        self.assertIn("60 steps in", last["text/plain"])
        for part in ("✓", "<svg", "data:image/png;base64,", "d_loss"):
            self.assertIn(part, last["text/html"])

    def test_widgets_where_the_front_end_has_them(self):
        self.assertEqual(self.kernel.ask("comm_info_request", {"target_name": "jupyter.widget"})["comms"], {})
        id = self.kernel.start(f"let gan = gan::train({DATA}, {TINY % 1_000_000});")
        seen = self.kernel.published(id, "display_data")
        opened = [message["content"] for message in seen if message["msg_type"] == "comm_open"]
        models = {content["data"]["state"]["_model_name"]: content["comm_id"] for content in opened}
        self.assertIn("application/vnd.jupyter.widget-view+json", seen[-1]["content"]["data"])
        self.assertIn("FloatProgressModel", models)
        comms = self.kernel.ask("comm_info_request", {"target_name": "jupyter.widget"})["comms"]
        self.assertEqual(set(comms), set(content["comm_id"] for content in opened))
        self.kernel.published(id, "comm_msg")
        click = {"method": "custom", "content": {"event": "click"}}
        self.kernel.send("comm_msg", {"comm_id": models["ButtonModel"], "data": click})
        self.assertEqual(self.kernel.reply(id)["content"]["ename"], "Interrupted")
        seen = self.kernel.published(id)
        self.assertEqual(kinds(seen).count("comm_close"), len(opened))
        last = [message for message in seen if message["msg_type"] == "update_display_data"][-1]["content"]["data"]
        self.assertNotIn("application/vnd.jupyter.widget-view+json", last)
        self.assertIn("stopped at step", last["text/html"])

    def test_a_comm_that_nobody_here_knows_is_closed(self):
        id = self.kernel.send("comm_open", {"comm_id": "x", "target_name": "unknown", "data": {}})
        self.assertIn("comm_close", kinds(self.kernel.published(id)))


class Strangers(Case):
    def raw(self, port, kind=zmq.DEALER):
        context = zmq.Context.instance()
        found = context.socket(kind)
        found.linger = 0
        info = self.kernel.manager.get_connection_info()
        found.connect(f"tcp://{info['ip']}:{info[port]}")
        self.addCleanup(found.close)
        return found

    def test_a_forged_signature_gets_no_answer(self):
        shell = self.raw("shell_port")
        session = Session(key=b"another key")
        session.send(shell, "execute_request", {"code": "let forged = 1;"})
        self.assertEqual(self.kernel.text("is_def_var(\"forged\")"), "false")
        self.assertFalse(shell.poll(500))

    def test_torn_messages_do_no_harm(self):
        shell = self.raw("shell_port")
        for frames in ([b"x"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{", b"{", b"{", b"{"], [b""] * 9, [b"\xff" * 10_000]):
            shell.send_multipart(frames)
        info = self.kernel.manager.get_connection_info()
        for port in ("shell_port", "iopub_port", "control_port", "stdin_port", "hb_port"):
            with socket.create_connection((info["ip"], info[port])) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(300))
        key = self.kernel.manager.session.key
        mine = Session(key=key)
        mine.send(shell, "no_such_request", {})
        self.assertTrue(shell.poll(PATIENCE * 1000))
        self.assertEqual(mine.recv(shell)[1]["content"]["status"], "error")
        self.assertEqual(self.kernel.text("1 + 1"), "2")

    def test_heartbeats_are_echoed(self):
        beats = self.raw("hb_port", zmq.REQ)
        beats.send(b"any bytes \x00")
        self.assertEqual(beats.recv(), b"any bytes \x00")

    def test_a_subscriber_that_stands_still_holds_up_nobody(self):
        still = self.raw("iopub_port", zmq.SUB)
        still.rcvhwm = 1
        still.setsockopt(zmq.SUBSCRIBE, b"")
        reply, seen = self.kernel.run('let line = ""; line.pad(1000, "x"); for i in 0..40_000 { print(line); }')
        self.assertEqual(reply["status"], "ok")
        size = sum(len(message["content"]["text"]) for message in seen if message["msg_type"] == "stream")
        self.assertEqual(size, 40_000 * 1001)

    def test_a_late_subscriber_sees_what_comes(self):
        late = self.raw("iopub_port", zmq.SUB)
        late.setsockopt(zmq.SUBSCRIBE, b"")
        session = Session(key=self.kernel.manager.session.key)
        while True:
            self.kernel.run("1")
            if late.poll(200):
                self.assertIn(session.recv(late)[1]["msg_type"], ("status", "execute_input", "execute_result"))
                return


class Habits(unittest.TestCase):
    def test_questions_before_anybody_subscribes(self):
        """As VS Code does: kernel_info on both channels, again and again, then a silent cell, then the subscription."""
        manager = KernelManager(kernel_name="fewlab")
        manager.start_kernel()
        self.addCleanup(manager.shutdown_kernel, now=True)
        info = manager.get_connection_info()
        session = Session(key=manager.session.key)
        context = zmq.Context.instance()

        def connected(port, kind=zmq.DEALER):
            found = context.socket(kind)
            found.linger = 0
            found.connect(f"tcp://{info['ip']}:{info[port]}")
            self.addCleanup(found.close)
            return found

        shell, control = connected("shell_port"), connected("control_port")
        for _ in range(3):
            for channel in (shell, control):
                session.send(channel, "kernel_info_request", {})
                self.assertTrue(channel.poll(PATIENCE * 1000))
                content = session.recv(channel)[1]["content"]
                self.assertEqual(content["language_info"]["file_extension"], ".rhai")
                self.assertIn("kernel subshells", content["supported_features"])
        session.send(shell, "execute_request", {"code": "let quiet = 1;", "silent": True, "store_history": False})
        self.assertTrue(shell.poll(PATIENCE * 1000))
        self.assertEqual(session.recv(shell)[1]["content"]["status"], "ok")
        published = connected("iopub_port", zmq.SUB)
        published.setsockopt(zmq.SUBSCRIBE, b"")
        while not published.poll(200):
            session.send(shell, "execute_request", {"code": "quiet + 1"})
        self.assertEqual(session.recv(published)[1]["parent_header"]["msg_type"], "execute_request")
        for kind, status in (("debug_request", "error"), ("connect_request", "ok"), ("usage_request", "ok")):
            session.send(control, kind, {})
            self.assertTrue(control.poll(PATIENCE * 1000))
            self.assertEqual(session.recv(control)[1]["content"]["status"], status)


class Life(unittest.TestCase):
    def test_history_outlives_the_kernel(self):
        with tempfile.TemporaryDirectory() as state:
            first = Kernel({"XDG_STATE_HOME": state})
            first.run("let unforgettable = 1;")
            first.close()
            second = Kernel({"XDG_STATE_HOME": state})
            ask = {"hist_access_type": "search", "pattern": "*unforgettable*", "output": False, "raw": True}
            found = second.ask("history_request", ask)["history"]
            second.close()
            self.assertEqual([entry[2] for entry in found], ["let unforgettable = 1;"])

    def test_a_history_that_cannot_be_kept_is_said_and_stops_nothing(self):
        with tempfile.TemporaryDirectory() as state:
            Path(state, "fewlab").write_text("a file, no folder")
            kernel = Kernel({"XDG_STATE_HOME": state})
            self.addCleanup(kernel.close)
            self.assertIn("the history cannot be kept", kernel.text("1"))
            self.assertEqual(kernel.text("2"), "2")

    def test_shutdown_answers_and_ends(self):
        kernel = Kernel()
        process = psutil.Process(kernel.pid)
        self.assertEqual(kernel.ask("shutdown_request", {"restart": False}, "control")["status"], "ok")
        process.wait(PATIENCE)
        kernel.close()

    def test_restart_forgets_and_works(self):
        kernel = Kernel()
        self.addCleanup(kernel.close)
        kernel.run("let a = 1;")
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=PATIENCE)
        self.assertIn("there is no variable `a`", kernel.text("a"))

    def test_the_kernel_dies_with_its_parent(self):
        code = (
            "from jupyter_client import KernelManager\n"
            "m = KernelManager(kernel_name='fewlab'); m.start_kernel(); print(m.provisioner.process.pid, flush=True)\n"
            "import os, time; time.sleep(1); os._exit(0)"
        )
        pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
        try:
            psutil.Process(pid).wait(PATIENCE)
        except psutil.NoSuchProcess:
            pass

    def test_connection_files_that_are_of_no_use(self):
        program = json.loads(subprocess.run(
            [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"], stdout=subprocess.PIPE, check=True,
        ).stdout)["kernelspecs"]["fewlab"]["spec"]["argv"][0]

        def kernel(path):
            done = subprocess.run([program, "kernel", path], stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
            return done.returncode, done.stderr

        code, said = kernel("/nowhere/kernel.json")
        self.assertEqual(code, 1)
        self.assertIn("cannot read `/nowhere/kernel.json`", said)
        other = Kernel()
        self.addCleanup(other.close)
        code, said = kernel(other.manager.connection_file)
        self.assertEqual(code, 1)
        self.assertIn("cannot listen for", said)
        self.assertIn("help: the connection file is of another kernel that still runs", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
