"""A result over 4 KB comes as {"claim":{"cache","key","bytes","sha256","expires_at"}}, or with a "url" in place of cache and key."""

import hashlib
import json
import urllib.request

from momento import CacheClient
from momento.responses import CacheGet


def read_claim(items: CacheClient, message: str) -> str:
    """The value of a message: its claim's, or its text."""
    try:
        claim = json.loads(message)["claim"]
        sha256 = claim["sha256"]
    except (ValueError, KeyError, TypeError):
        return message
    value = fetch(claim["url"]) if "url" in claim else get(items, claim)
    if hashlib.sha256(value).hexdigest() != sha256:
        raise ValueError("the value of a claim has another hash")
    return value.decode()


def get(items: CacheClient, claim: dict) -> bytes:
    got = items.get(claim["cache"], claim["key"])
    if isinstance(got, CacheGet.Hit):
        return got.value_bytes
    raise LookupError(f"cannot read the claim's item {claim['cache']}/{claim['key']}, which expires at {claim['expires_at']} ms")


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read()
