"""What the speaker and its BFD process say to each other.

The messages cross a channel (``speaker.linux.channel``). The speaker sends all sessions that it
wants; the process reports what changed since its last report, so a slow reader gets fewer reports,
never a longer queue. Addresses are packed.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, Settings

SESSIONS: Final = 10_000
"""So many sessions can be held. Each needs a UDP port of its own (RFC 5881 section 4)."""

BATCH: Final = 512
"""A report tells of this many sessions at the most, so that the speaker's loop is not held up."""

ERRORS: Final = 16
"""A report has this many errors at the most; the last one counts what was left out."""


class PathName(msgspec.Struct, frozen=True, array_like=True):
    """A path. ``local`` is empty where the kernel chooses it."""

    peer: bytes
    local: bytes
    multihop: bool

    @classmethod
    def of(cls, path: Path) -> PathName:
        """Write a path."""
        return cls(path.peer.packed, path.local.packed if path.local else b"", path.multihop)

    @property
    def path(self) -> Path:
        """The path that it names."""
        return Path(
            ip_address(self.peer), ip_address(self.local) if self.local else None, self.multihop
        )


class Watch(msgspec.Struct, frozen=True, array_like=True):
    """One session that is wanted."""

    path: PathName
    settings: Settings


class Configure(msgspec.Struct, frozen=True, tag=True):
    """Have exactly these sessions."""

    watches: tuple[Watch, ...]


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A session came up, or fell, or fell and came up again.

    ``diagnostic`` says why it fell, and ``on_purpose`` that the peer's operator wanted it.
    """

    path: PathName
    up: bool
    fell: bool = False
    diagnostic: int = 0
    on_purpose: bool = False


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """What a session did since it began."""

    path: PathName
    counts: Counts


class Report(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What changed since the last report. ``errors`` say what does not work."""

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
    """Read what the speaker sent. Raises msgspec.DecodeError where it is no command."""
    return _COMMANDS.decode(message)


def decode_report(message: bytes) -> Report:
    """Read what the process sent. Raises msgspec.DecodeError where it is no report."""
    return _REPORTS.decode(message)
