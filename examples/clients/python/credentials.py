"""Momento where MOMENTO_API_KEY and MOMENTO_ENDPOINT are set, else the local stack at port MOMENTO_PORT (8080)."""

import os

from momento import CredentialProvider


def credentials() -> CredentialProvider:
    if os.environ.get("MOMENTO_API_KEY"):
        return CredentialProvider.from_environment_variables_v2()
    return CredentialProvider.for_momento_local(port=int(os.environ.get("MOMENTO_PORT", "8080")))
