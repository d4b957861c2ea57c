"""Corrections of the local AWS emulator where it differs from AWS: one module per service."""

import json


def is_json(text, kind=object):
    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        return isinstance(json.loads(text, parse_constant=refuse), kind)
    except (TypeError, ValueError, RecursionError):
        return False
