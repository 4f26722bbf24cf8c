"""Address and credentials of an API server.

Apart from ``client``, to avoid a circular import: ``client`` imports ``kubeconfig``, which returns
an Access.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from metallb_py.kube.credentials import TokenFile


async def anonymous() -> str:
    """Return no credentials."""
    return ""


@dataclass(frozen=True, slots=True)
class Access:
    """Address, TLS settings and credentials for connections to one API server."""

    server: str
    """URL of the API server."""
    tls: ssl.SSLContext | None = None
    """Trusted authorities and the client certificate, if any; None for the system's authorities."""
    server_name: str | None = None
    """Name in the server's certificate; None where it is the host of ``server``."""
    proxy: str | None = None
    """URL of a proxy; None for the one that the environment names, if any."""
    token: TokenFile | None = None
    """Bearer token from a file; takes precedence over ``authorization``."""
    authorization: Callable[[], Awaitable[str]] = anonymous
    """Returns the value of the Authorization header before each request; empty for none."""
