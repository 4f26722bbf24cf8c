"""Peers' passwords in Secrets: the value in force, and the peers that have none yet.

The last value that was read is in force. A Secret that is deleted, or that loses its key, ends no
session: its earlier value stays in force until another one is read, or the speaker restarts.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metallb_py.model.config import Config
from metallb_py.model.peers import Peer, SecretKey


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a Secret. ``data`` is in base64, as in the API; ``repr`` leaves it out."""

    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecretUnavailable:
    """The reason why a Secret could not be read."""

    why: str


Outcome = Contents | SecretUnavailable


@dataclass(frozen=True, slots=True)
class Password:
    """The last password that was read, left out of ``repr``, and the problem since then, if any."""

    text: str = field(default="", repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PasswordProblem:
    """A problem with a peer's Secret. ``waits``: the peer has no password, so no session yet."""

    peer: str
    where: SecretKey
    problem: str
    waits: bool


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """A configuration with its passwords, without the peers that have none yet."""

    config: Config
    problems: tuple[PasswordProblem, ...]


def needed(config: Config, node_labels: Mapping[str, str]) -> frozenset[SecretKey]:
    """Return the Secrets' keys with the passwords of the peers of a node with these labels."""
    return frozenset(
        peer.password_secret
        for peer in config.peers
        if peer.password_secret is not None and peer.selects(node_labels)
    )


def read_password(before: Password, key: str, outcome: Outcome) -> Password:
    """Return the state of a password after an attempt to read its Secret."""
    if isinstance(outcome, SecretUnavailable):
        return replace(before, problem=outcome.why)
    encoded = outcome.data.get(key)
    if encoded is None:
        return replace(before, problem=f'it has no key "{key}"')
    try:
        text = binascii.a2b_base64(encoded, strict_mode=True).decode()
    except ValueError:
        return replace(before, problem=f'key "{key}" holds no UTF-8 text')
    # A text editor, or echo, adds a line break that is not part of the password.
    text = text.rstrip("\r\n")
    if not text:
        return replace(before, problem=f'key "{key}" is empty')
    return Password(text)


def resolve_passwords(
    config: Config, node_labels: Mapping[str, str], passwords: Mapping[SecretKey, Password]
) -> ResolvedConfig:
    """Fill in the peers' passwords; leave out those of this node's peers that have none yet."""
    peers: list[Peer] = []
    problems: list[PasswordProblem] = []
    for peer in config.peers:
        where = peer.password_secret
        if where is None or not peer.selects(node_labels):
            peers.append(peer)
            continue
        password = passwords.get(where, Password())
        if password.text:
            session = replace(peer.session, password=password.text)
            peers.append(replace(peer, session=session))
        if password.problem:
            name = str(peer.session)
            problems.append(PasswordProblem(name, where, password.problem, waits=not password.text))
    return ResolvedConfig(replace(config, peers=tuple(peers)), tuple(problems))
