"""The systemd unit and its file of variables, as systemd reads them."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from options import ROOT, documented

UNIT = (ROOT / "deploy/bridge-relay.service").read_text()
VARIABLES = (ROOT / "deploy/bridge-relay.env").read_text()

# Warnings of versions before 254, which the unit documents.
OLD = re.compile(r"Unknown key(?: name)? '(RestartSteps|RestartMaxDelaySec)'")


class Unit(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_systemd_accepts_every_line(self):
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder, "bridge-relay.service")
            # The relay is not installed here, so another program stands in.
            unit.write_text(UNIT.replace("/usr/local/bin/bridge", shutil.which("true")))
            command = ["systemd-analyze", "verify", "--man=no", unit]
            warnings = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        self.assertEqual([line for line in warnings.splitlines() if not OLD.search(line)], [])

    def test_every_variable_is_an_option_of_the_relay(self):
        inline = re.search(r"^Environment=(.*)$", UNIT, re.MULTILINE)[1].split()
        names = re.findall(r"^([^#\s][^=\s]*)=", VARIABLES, re.MULTILINE) + [word.split("=")[0] for word in inline]
        self.assertIn("WEBHOOK_URL", names)
        self.assertEqual(set(names) - documented(), set())

    def test_every_secret_is_a_credential(self):
        loaded = re.findall(r"^LoadCredential=([^:]+):/etc/bridge-relay/\1$", UNIT, re.MULTILINE)
        self.assertEqual(sorted(re.findall(r"=%d/(\S+)", UNIT)), sorted(loaded))
        self.assertEqual(len(loaded), 2)

    def test_the_relay_has_time_to_stop(self):
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[1]), 20)


if __name__ == "__main__":
    unittest.main()
