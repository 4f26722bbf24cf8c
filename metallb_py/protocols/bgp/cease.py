"""Administrative shutdown of a session, and its Cease NOTIFICATION (RFC 4486, 8538, 9003).

Short: it is apart because the session, its connections and their driver share it.
"""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.protocols.bgp.codec.codes import Cease, ErrorCode
from metallb_py.protocols.bgp.codec.messages import Notification

MAX_TEXT = 255
"""Most bytes of the shutdown communication in a Cease (RFC 9003 section 2)."""

_WITH_TEXT = frozenset({Cease.ADMINISTRATIVE_SHUTDOWN, Cease.ADMINISTRATIVE_RESET})


@dataclass(frozen=True, slots=True)
class ShutdownRequest:
    """A request to end a session, and the messages to send before the connection is closed."""

    subcode: Cease = Cease.ADMINISTRATIVE_SHUTDOWN
    """Subcode of the Cease NOTIFICATION."""
    text: str = ""
    """Shutdown communication for the peer's operator (RFC 9003); longer texts are truncated."""
    withdraw_routes: bool = False
    """Whether an established session withdraws every route before it ends."""
    graceful_restart: bool = False
    """Whether to send nothing to a peer that agreed to graceful restart.

    It then retains the routes until this speaker has restarted (RFC 4724 section 4.2)."""


SHUTDOWN = ShutdownRequest()


def cease(subcode: Cease, text: str = "", *, hard: bool) -> Notification:
    """Return the Cease NOTIFICATION.

    Where both sides retain routes after a NOTIFICATION, only a Hard Reset (``hard``) makes the peer
    delete them; it encapsulates the Cease that would be sent otherwise (RFC 8538 section 3).
    """
    data = _encode_text(text) if text and subcode in _WITH_TEXT else b""
    if hard:
        inner = bytes((ErrorCode.CEASE, subcode))
        return Notification(ErrorCode.CEASE, Cease.HARD_RESET, inner + data)
    return Notification(ErrorCode.CEASE, subcode, data)


def _encode_text(text: str) -> bytes:
    """Encode the text after its length; a longer text is truncated between characters."""
    encoded = text.encode()[:MAX_TEXT].decode(errors="ignore").encode()
    return bytes((len(encoded),)) + encoded
