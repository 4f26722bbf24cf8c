"""What the speaker and its responder process say to each other.

The messages cross a channel (``speaker.linux.channel``). The speaker sends the owned addresses;
the process reports what is and what was since the last report, so a slow reader gets fewer
reports, never a longer queue. Addresses are packed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from speaker.responder.settings import Settings

ADDRESSES: Final = 1 << 16
"""A command names at most this many addresses: as a rule all, so that filters are made once."""

BATCH: Final = 512
"""A report names at most this many addresses and failures: the speaker's loop is not held up."""
CLAIMS: Final = 128
"""A report names at most this many claims of others to our addresses."""
CLAIMANTS: Final = 4
"""And so many claimants of one address: MAC addresses are easily invented."""


class Own(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Answer for these addresses. ``takeover``: they were another node's, so announce them.

    ``interfaces`` are patterns of the names of those that may answer; without any, all may.
    """

    addresses: tuple[bytes, ...]
    takeover: bool
    interfaces: tuple[str, ...] = ()


class Disown(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Answer no more for these addresses; with ``linger``, until their new owner is heard of."""

    addresses: tuple[bytes, ...]
    linger: bool = False


Command = Own | Disown


class InterfaceState(msgspec.Struct, frozen=True, array_like=True):
    """An interface that is to answer, in one protocol: ARP or NDP.

    ``error`` says what does not work, and is empty where everything does.
    """

    name: str
    protocol: str
    error: str


class WireState(msgspec.Struct, frozen=True, array_like=True):
    """An interface that is to answer, its MAC address, its subnets (address and prefix length of
    each), and its own addresses, packed.
    """

    name: str
    mac: bytes
    subnets: tuple[tuple[bytes, int], ...]
    addresses: tuple[bytes, ...] = ()


class AddressCounts(msgspec.Struct, frozen=True, array_like=True):
    """What was received and sent for an address since the last report, in packets."""

    address: bytes
    requests: int
    responses: int
    gratuitous: int


class SendFailures(msgspec.Struct, frozen=True, array_like=True):
    """Frames that the kernel did not take, since the last report."""

    interface: str
    gratuitous: bool
    address: bytes
    error: str
    count: int


class Claims(msgspec.Struct, frozen=True, array_like=True):
    """How often somebody else said that one of our addresses is at his MAC address."""

    interface: str
    address: bytes
    mac: bytes
    count: int


class Report(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What the process did. What is None is as last reported."""

    interfaces: tuple[InterfaceState, ...] | None = None
    wires: tuple[WireState, ...] | None = None
    counts: tuple[AddressCounts, ...] = ()
    drops: dict[str, int] = {}
    claims: tuple[Claims, ...] = ()
    failures: tuple[SendFailures, ...] = ()


_ENCODER: Final = msgspec.msgpack.Encoder()
_COMMANDS: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)
_REPORTS: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)


def encode(message: Command | Report) -> bytes:
    """Return the message as bytes."""
    return _ENCODER.encode(message)


def encode_settings(settings: Settings) -> str:
    """Return the settings as one word of a command line."""
    return msgspec.json.encode(settings).decode()


def decode_settings(text: str) -> Settings:
    """Read what the speaker gave on the command line. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Settings)


def decode_command(message: bytes) -> Command:
    """Read what the speaker sent. Raises msgspec.DecodeError where it is no command."""
    return _COMMANDS.decode(message)


def decode_report(message: bytes) -> Report:
    """Read what the process sent. Raises msgspec.DecodeError where it is no report."""
    return _REPORTS.decode(message)
