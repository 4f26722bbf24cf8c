"""How a session is ended for good by our side, and the last message that says so."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.protocols.bgp.codec.codes import Cease, ErrorCode
from metallb_py.protocols.bgp.codec.messages import Notification

MAX_TEXT = 255
"""Bytes of text in a Cease (RFC 9003 section 2)."""

_WITH_TEXT = frozenset({Cease.ADMINISTRATIVE_SHUTDOWN, Cease.ADMINISTRATIVE_RESET})


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is said at the end.

    With ``routes_stay`` nothing is said to a peer that agreed to graceful restart, so it keeps
    the routes until we are back (RFC 4724 section 4.2). With ``withdraws`` an established session
    withdraws every route before it ends. ``text`` is for the peer's operator.
    """

    why: Cease = Cease.ADMINISTRATIVE_SHUTDOWN
    text: str = ""
    withdraws: bool = False
    routes_stay: bool = False


SHUTDOWN = Farewell()


def cease(why: Cease, text: str = "", *, hard: bool) -> Notification:
    """Return the Cease message.

    Where both sides keep routes over NOTIFICATIONs, only a ``hard`` reset ends them with the
    session; it holds what it would be without (RFC 8538 section 3).
    """
    data = _encode_text(text) if text and why in _WITH_TEXT else b""
    if hard:
        inner = bytes((ErrorCode.CEASE, why))
        return Notification(ErrorCode.CEASE, Cease.HARD_RESET, inner + data)
    return Notification(ErrorCode.CEASE, why, data)


def _encode_text(text: str) -> bytes:
    """Encode with its length; what is too long is cut between characters."""
    words = text.encode()[:MAX_TEXT].decode(errors="ignore").encode()
    return bytes((len(words),)) + words
