"""How an API server is reached, and as whom."""

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
    """What a connection is made of.

    ``server`` is the URL of the API server. ``tls`` is made for it, with the client's certificate
    where there is one; None for what the system trusts. ``server_name`` stands in the server's
    certificate, where that is not the URL's. ``proxy`` is the URL of a proxy, None for that of the
    environment. The token comes from ``token`` where that is there, or else ``authorization``
    returns the header's value before each request.
    """

    server: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: str | None = None
    token: TokenFile | None = None
    authorization: Callable[[], Awaitable[str]] = anonymous
