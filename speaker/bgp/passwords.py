"""Passwords of peers that stand in Secrets: what each Secret is good for, and who has to wait.

A Secret is good as it was read last. One that goes away, or that loses its key, ends no session:
what it held stays in force until there is something else, or the speaker starts anew.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metallb_py.model.config import Config, Peer, SecretKey
from speaker.bgp.peering import session_of


@dataclass(frozen=True, slots=True)
class Contents:
    """A Secret was read. ``data`` is as the API has it: in base64. It never prints."""

    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unread:
    """A Secret could not be read, and why."""

    why: str


Outcome = Contents | Unread


@dataclass(frozen=True, slots=True)
class Password:
    """The last password that could be read, which never prints, and what is wrong since then."""

    text: str = field(default="", repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the Secret of a peer, and whether the peer has to wait for it."""

    peer: str
    where: SecretKey
    problem: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """A configuration with its passwords, but without the peers that wait for theirs."""

    config: Config
    troubles: tuple[Trouble, ...]


def needed(config: Config, node_labels: Mapping[str, str]) -> frozenset[SecretKey]:
    """Return where the passwords are of the peers that a node with these labels has."""
    return frozenset(
        peer.password_secret
        for peer in config.peers
        if peer.password_secret is not None and peer.selects(node_labels)
    )


def read_password(before: Password, key: str, outcome: Outcome) -> Password:
    """Return what is known of a password after its Secret was read, or could not be."""
    if isinstance(outcome, Unread):
        return replace(before, problem=outcome.why)
    encoded = outcome.data.get(key)
    if encoded is None:
        return replace(before, problem=f'it has no key "{key}"')
    try:
        text = binascii.a2b_base64(encoded, strict_mode=True).decode()
    except ValueError:
        return replace(before, problem=f'key "{key}" holds no UTF-8 text')
    # What is made with a text editor or with echo ends with a line break that nobody meant.
    text = text.rstrip("\r\n")
    if not text:
        return replace(before, problem=f'key "{key}" is empty')
    return Password(text)


def fill_in(
    config: Config, node_labels: Mapping[str, str], passwords: Mapping[SecretKey, Password]
) -> Filled:
    """Give the peers their passwords; leave those of this node out that have none yet."""
    peers: list[Peer] = []
    troubles: list[Trouble] = []
    for peer in config.peers:
        where = peer.password_secret
        if where is None or not peer.selects(node_labels):
            peers.append(peer)
            continue
        password = passwords.get(where, Password())
        if password.text:
            peers.append(replace(peer, password=password.text))
        if password.problem:
            name = str(session_of(peer))
            troubles.append(Trouble(name, where, password.problem, waits=not password.text))
    return Filled(replace(config, peers=tuple(peers)), tuple(troubles))
