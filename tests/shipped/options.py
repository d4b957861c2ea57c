"""The relay's options in docs/relay.md."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def documented():
    """The variables in the table of the relay's options."""
    rows = re.findall(r"^\| `--.*$", (ROOT / "docs/relay.md").read_text(), re.MULTILINE)
    return set(re.findall(r"`([A-Z][A-Z_]+)`", "".join(row.split("|")[2] for row in rows)))
