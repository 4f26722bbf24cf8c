"""Access to an API server: its address, and credentials such as a pod's token in a file.

The kubelet replaces the token long before it expires. The file is read again every minute of the
monotonic clock, as a wall clock that is set back would keep an old token, and when the server
rejects the token. A file that is missing or empty for a short time does no harm: the last token
stays in use.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from metallb_py.addresses import join_host_port

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REREAD_SECONDS = 60.0
TOKEN_LIMIT = 64 << 10

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1


class TokenFile:
    """A bearer token in a file. Times are monotonic seconds."""

    def __init__(self, path: Path, on_problem: Callable[[str], None]) -> None:
        self._path = path
        self._on_problem = on_problem
        self._header = ""
        self._due = -1.0
        self._problem = ""

    def header(self, now: float) -> str:
        """Return the value of the Authorization header; empty where no token was read yet."""
        if now >= self._due or not self._header:
            self._due = now + REREAD_SECONDS
            self._read()
        return self._header

    def refused(self, header: str, now: float) -> bool:
        """Read the file again; return whether it has another token than the rejected one."""
        self._due = now
        return self.header(now) != header

    def _read(self) -> None:
        try:
            self._header = f"Bearer {_read_token(self._path)}"
        except (OSError, ValueError) as error:
            problem = f"token file {self._path}: {error}"
            if problem != self._problem:
                self._on_problem(problem)
            self._problem = problem
        else:
            self._problem = ""


@dataclass(frozen=True, slots=True)
class InCluster:
    """A pod's access to the API server. ``authority`` is the path of the certificates to trust."""

    host: str
    authority: str
    token: TokenFile


def in_cluster(on_problem: Callable[[str], None], folder: Path = FOLDER) -> InCluster:
    """Return the access that every pod is given. Raises ValueError, OSError."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ValueError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    authority = folder / "ca.crt"
    if not authority.read_bytes().strip():
        raise ValueError(f"{authority}: found nothing, want certificates")
    token = TokenFile(folder / "token", on_problem)
    return InCluster(f"https://{join_host_port(host, port)}", str(authority), token)


def _read_token(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(TOKEN_LIMIT + 1)
    text = data.decode("ascii", errors="replace").strip()
    if not text:
        raise ValueError("found nothing, want a token")
    if len(data) > TOKEN_LIMIT or not _TOKEN.fullmatch(text):
        raise ValueError("want a token: letters, digits and -._~+/=")
    return text


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
