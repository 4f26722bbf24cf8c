"""Messages between the speaker and its responder process.

They cross a channel (``speaker.linux.channel``). The speaker sends the owned addresses; the
process reports its state and the counters since the last report, so a slow reader gets fewer
reports and never a longer queue. Addresses are packed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from speaker.responder.settings import Settings

ADDRESSES: Final = 1 << 16
"""Limit of addresses in a command: usually it holds all, so that filters are compiled once."""

BATCH: Final = 512
"""Limit of addresses and of failures in a report, so that it does not block the speaker's loop."""
MAX_CONFLICTS: Final = 128
"""Limit of distinct address conflicts in a report."""
MAX_MACS_PER_ADDRESS: Final = 4
"""Limit of MAC addresses in conflict about one address: a host can forge any number of them."""


class Own(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Command: answer for these addresses. ``takeover``: another node owned them; announce them.

    ``interfaces`` are patterns of the names of the interfaces that may answer; if empty, all may.
    """

    addresses: tuple[bytes, ...]
    takeover: bool
    interfaces: tuple[str, ...] = ()


class Disown(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Command: stop answering for these addresses.

    With ``linger`` they are answered for until their new owner's announcement is received.
    """

    addresses: tuple[bytes, ...]
    linger: bool = False


Command = Own | Disown


class InterfaceState(msgspec.Struct, frozen=True, array_like=True):
    """State of an interface in one protocol, ARP or NDP. ``error`` is empty if it answers."""

    name: str
    protocol: str
    error: str


class InterfaceAddresses(msgspec.Struct, frozen=True, array_like=True):
    """Addresses of an interface.

    Its MAC address, its subnets (network address and prefix length of each), and its own addresses.
    """

    name: str
    mac: bytes
    subnets: tuple[tuple[bytes, int], ...]
    addresses: tuple[bytes, ...] = ()


class AddressCounts(msgspec.Struct, frozen=True, array_like=True):
    """Packets received and sent for an address since the last report."""

    address: bytes
    requests: int
    responses: int
    gratuitous: int


class SendFailures(msgspec.Struct, frozen=True, array_like=True):
    """Frames that the kernel refused to send since the last report."""

    interface: str
    gratuitous: bool
    """Whether they were announcements; else they were replies."""
    address: bytes
    """The address that the frames were about."""
    error: str
    """The error, as text."""
    count: int
    """Number of frames."""


class ConflictCount(msgspec.Struct, frozen=True, array_like=True):
    """Number of frames in which another host announced one of our addresses at its own MAC."""

    interface: str
    address: bytes
    mac: bytes
    count: int


class Report(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """State of the process, and counters since the last report."""

    interfaces: tuple[InterfaceState, ...] | None = None
    """State of each interface and protocol; None if unchanged since the last report."""
    interface_addresses: tuple[InterfaceAddresses, ...] | None = None
    """Addresses of each interface that answers; None if unchanged since the last report."""
    counts: tuple[AddressCounts, ...] = ()
    """Packets by address; up to BATCH addresses."""
    drops: dict[str, int] = {}
    """Number of frames without a reply, by reason."""
    conflicts: tuple[ConflictCount, ...] = ()
    """Address conflicts; up to CLAIMS."""
    failures: tuple[SendFailures, ...] = ()
    """Failures to send; up to BATCH."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_COMMANDS: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)
_REPORTS: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)


def encode(message: Command | Report) -> bytes:
    """Encode a message."""
    return _ENCODER.encode(message)


def encode_settings(settings: Settings) -> str:
    """Encode settings as one argument of a command line."""
    return msgspec.json.encode(settings).decode()


def decode_settings(text: str) -> Settings:
    """Decode the settings from a command line argument. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Settings)


def decode_command(message: bytes) -> Command:
    """Decode a message from the speaker. Raises msgspec.DecodeError if it is no command."""
    return _COMMANDS.decode(message)


def decode_report(message: bytes) -> Report:
    """Decode a message from the process. Raises msgspec.DecodeError if it is no report."""
    return _REPORTS.decode(message)
