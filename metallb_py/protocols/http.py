"""HTTP/1.1 codec for a small server (RFC 9112): decodes request heads, encodes response heads.

Deliberately less than the RFC: a body needs a Content-Length (411 otherwise; Kubernetes' clients
send one). A head with obsolete line folding, a bare CR or a NUL is rejected, and so is one with
more than one Content-Length, since request smuggling relies on two readings of such a head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from metallb_py.errors import RemoteProtocolError

HEAD_END: Final = b"\r\n\r\n"
MAX_FIELDS: Final = 100
"""Header fields that a request may have; more are rejected with 431."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim response for which a client with ``Expect: 100-continue`` waits."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VERSION = re.compile(rb"HTTP/1\.([01])")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class HttpError(RemoteProtocolError):
    """An invalid request: answer it with ``status`` and close the connection."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and its header fields."""

    method: str
    """As written by the client, case-sensitive."""
    path: str
    """The request target without its query."""
    version: int
    """The minor version: 0 or 1."""
    fields: Mapping[str, str]
    """Values by lower-case name; those of a repeated field are joined by commas (RFC 9110 5.3)."""
    content_length: int
    """Bytes of the body that follows; 0 where the head has no Content-Length."""

    @property
    def keep_alive(self) -> bool:
        """Whether the client allows the connection to be reused (RFC 9112 9.3)."""
        options = {each.strip().lower() for each in self.fields.get("connection", "").split(",")}
        return "close" not in options and (self.version == 1 or "keep-alive" in options)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 Continue before its body (RFC 9110 10.1.1)."""
        return self.version == 1 and self.fields.get("expect", "").lower() == "100-continue"


def decode_head(data: bytes) -> RequestHead:
    """Decode a head up to and including its empty line. Raises HttpError."""
    request_line, *lines = data.removesuffix(HEAD_END).lstrip(b"\r\n").split(b"\r\n")
    method, target, version = _request_line(request_line)
    if len(lines) > MAX_FIELDS:
        raise HttpError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"{len(lines)} header fields: want at most {MAX_FIELDS}",
        )
    fields: dict[str, str] = {}
    lengths = 0
    for line in lines:
        name, value = _field(line)
        lengths += name == "content-length"
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    if version == 1 and "host" not in fields:
        raise _bad("no Host field")
    if "transfer-encoding" in fields:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Transfer-Encoding: want a Content-Length")
    if lengths > 1:
        raise _bad(f"{lengths} Content-Length fields: want one")
    length = fields.get("content-length", "0")
    if not (length.isascii() and length.isdecimal() and len(length) < 20):
        raise _bad(f'Content-Length "{length[:40]}": want a number')
    path = target.partition("?")[0]
    return RequestHead(method, path, version, fields, int(length))


def encode_head(
    status: HTTPStatus, fields: Mapping[str, str], length: int, *, keep_alive: bool
) -> bytes:
    """Encode a response's head for a body of this length."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    lines.append(f"Content-Length: {length}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _request_line(line: bytes) -> tuple[str, str, int]:
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise _bad("malformed request line")
    version = _VERSION.fullmatch(parts[2])
    if version is None:
        raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "want HTTP/1.1 or HTTP/1.0")
    return parts[0].decode("ascii"), parts[1].decode("ascii"), int(version[1])


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    # Not a token: a name followed by white space, or a line that begins with white space.
    if not colon or not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
        raise _bad("malformed header field")
    return name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


def _bad(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, message)
