"""Start and end of the local AWS emulator, `src/tools/local/emulator/start.py`.

The tests beside this file cover its corrections to the emulator. Run all of them with

    python -m unittest discover -s tests/emulator

in the virtual environment of `src/tools/local/emulator/requirements.txt`, on Linux.
"""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from running import ECHO, START, Emulator, Running


class InOwn(Running):
    """Helpers for an emulator other than the shared one."""

    emulator = property(lambda self: self.own)


class Process(unittest.TestCase):
    def setUp(self):
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        self.state = state.name

    def function_in(self, emulator):
        """Starts a function in the emulator; returns its process ID."""
        functions = InOwn()
        functions.own = emulator
        self.addCleanup(functions.doCleanups)
        functions.setUp()
        functions.function(ECHO)
        answer = functions.client("lambda").invoke(FunctionName="function")
        return json.loads(json.load(answer["Payload"])["body"])["pid"]

    def assert_ends(self, *handles):
        """Waits for the end of the processes; asserts that their files are removed."""
        deadline = time.monotonic() + 30
        for handle in handles:
            ended, _, _ = select.select([handle], [], [], max(0, deadline - time.monotonic()))
            os.close(handle)
            self.assertTrue(ended, "a process still runs after half a minute")
        self.assertEqual(os.listdir(self.state), [])

    def test_it_ends_with_its_stdin(self):
        emulator = Emulator(self.state)
        self.addCleanup(emulator.close)
        handles = [os.pidfd_open(emulator.process.pid), os.pidfd_open(self.function_in(emulator))]
        self.assertNotEqual(os.listdir(self.state), [])
        emulator.process.stdin.close()
        self.assert_ends(*handles)

    def test_it_ends_on_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                emulator = Emulator(self.state)
                self.addCleanup(emulator.close)
                handles = [os.pidfd_open(emulator.process.pid), os.pidfd_open(self.function_in(emulator))]
                emulator.process.send_signal(number)
                self.assert_ends(*handles)

    def test_it_ends_when_its_parent_is_killed(self):
        program = textwrap.dedent(
            """
            import subprocess, sys
            child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            print(child.stdout.readline().decode().strip(), flush=True)
            print(child.pid, flush=True)
            child.wait()
            """
        )
        command = [sys.executable, "-c", program, START, "--state", self.state]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            try:
                emulator = Emulator.__new__(Emulator)
                emulator.port = json.loads(parent.stdout.readline())["port"]
                handles = [os.pidfd_open(int(parent.stdout.readline())), os.pidfd_open(self.function_in(emulator))]
            finally:
                parent.kill()
            self.assert_ends(*handles)

    def test_it_listens_only_on_the_loopback_address(self):
        emulator = Emulator(self.state)
        self.addCleanup(emulator.close)
        folder = f"/proc/{emulator.process.pid}/fd"
        opened = set()
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                opened.add(os.readlink(f"{folder}/{name}"))
        listening = []
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == "0A" and f"socket:[{rest[5]}]" in opened:
                    listening.append(local)
        self.assertEqual(listening, [f"0100007F:{emulator.port:04X}"])

    def test_it_refuses_another_version_of_the_emulator(self):
        folder = pathlib.Path(self.state, "ministack-9.9.9.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: ministack\nVersion: 9.9.9\n")
        environment = os.environ | {"PYTHONPATH": self.state}
        command = [sys.executable, START]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^expected ministack [0-9.]+, .* found 9\.9\.9: install requirements\.txt")
