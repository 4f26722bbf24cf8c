"""Messages between the speaker and its BFD process.

The messages cross a channel (``speaker.linux.channel``). The speaker sends all sessions that are
wanted; the process reports what changed since its last report, so a slow reader gets fewer
reports, never a longer queue. Addresses are packed.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, Settings

SESSIONS: Final = 10_000
"""Greatest number of sessions. Each needs a UDP port of its own (RFC 5881 section 4)."""

BATCH: Final = 512
"""Greatest number of sessions in a report, so that the speaker's loop is not held up."""

ERRORS: Final = 16
"""Greatest number of errors in a report; the last one counts those left out."""


class PathName(msgspec.Struct, frozen=True, array_like=True):
    """Packed form of a path. ``local`` is empty where the kernel chooses it."""

    peer: bytes
    local: bytes
    multihop: bool

    @classmethod
    def of(cls, path: Path) -> PathName:
        """Pack a path."""
        return cls(path.peer.packed, path.local.packed if path.local else b"", path.multihop)

    @property
    def path(self) -> Path:
        """The path, unpacked."""
        return Path(
            ip_address(self.peer), ip_address(self.local) if self.local else None, self.multihop
        )


class Watch(msgspec.Struct, frozen=True, array_like=True):
    """A session that is wanted."""

    path: PathName
    settings: Settings


class Configure(msgspec.Struct, frozen=True, tag=True):
    """The command to hold exactly these sessions."""

    watches: tuple[Watch, ...]


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A session came up, or went down, or went down and came up again."""

    path: PathName
    up: bool
    """Whether the session is up now."""
    went_down: bool = False
    """Whether it went down since the last report."""
    diagnostic: int = 0
    """Diagnostic of the last time that it went down (RFC 5880 section 4.1)."""
    peer_admin_down: bool = False
    """Whether the peer's operator ended the session, so that the path may be intact."""


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """Counters of a session since it started."""

    path: PathName
    counts: Counts


class Report(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What changed since the last report; ``errors`` are all present ones, None if unchanged."""

    changes: tuple[Change, ...] = ()
    totals: tuple[Totals, ...] = ()
    errors: tuple[str, ...] | None = None


_ENCODER: Final = msgspec.msgpack.Encoder()
_COMMANDS: Final[msgspec.msgpack.Decoder[Configure]] = msgspec.msgpack.Decoder(Configure)
_REPORTS: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)


def encode(message: Configure | Report) -> bytes:
    """Return the message as bytes."""
    return _ENCODER.encode(message)


def decode_command(message: bytes) -> Configure:
    """Decode a message of the speaker. Raises msgspec.DecodeError where it is no command."""
    return _COMMANDS.decode(message)


def decode_report(message: bytes) -> Report:
    """Decode a message of the process. Raises msgspec.DecodeError where it is no report."""
    return _REPORTS.decode(message)
