"""Messages between the speaker and its responder process.

They cross a channel (``speaker.linux.channel``). The speaker sends the owned addresses, the process
sends reports (``speaker.responder.report``). Addresses are packed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from speaker.responder.report import Report
from speaker.responder.settings import Settings

ADDRESSES: Final = 1 << 16
"""Limit of addresses in a command: usually it holds all, so that filters are compiled once."""


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
