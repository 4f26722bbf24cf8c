"""Who should answer for an address on layer 2, and whether those who do are right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from metallb_py.addresses import IPAddress
from metallb_py.model.config import Protocol
from speaker.where import View, where


@dataclass(frozen=True, slots=True)
class Expected:
    """Who should answer: a node, or nobody, and why.

    ``services`` are those that hold the address.
    """

    node: str = ""
    services: tuple[str, ...] = ()
    why: str = ""


class Standing(StrEnum):
    """What to think of somebody who answers."""

    ELECTED = "elected"
    NOT_ELECTED = "not elected"
    STRANGER = "no node with a speaker"


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody who answers for the address; ``node`` is empty where it is no node's MAC."""

    mac: str
    node: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Finding:
    """What was expected, and who answered."""

    address: IPAddress
    expected: Expected
    answers: tuple[Answer, ...]

    @property
    def is_right(self) -> bool:
        """Whether exactly one answers, and it is the elected node."""
        return [answer.standing for answer in self.answers] == [Standing.ELECTED]


def expected(address: IPAddress, view: View) -> Expected:
    """Return who should answer for an address."""
    holders = [service for service in view.services if address in service.status_addresses]
    keys = tuple(service.key for service in holders)
    if not holders:
        return Expected(why="no service has this address")
    pool = view.config.pool_of((address,))
    if pool is not None and pool.protocol is not Protocol.LAYER2:
        return Expected("", keys, f'its pool "{pool.name}" is announced by {pool.protocol}')
    why = ""
    for service in holders:
        found = where(service, view)
        if found.nodes:
            return Expected(found.nodes[0], keys, found.why)
        why = found.why
    return Expected("", keys, why)


def find(address: IPAddress, macs: Iterable[str], view: View) -> Finding:
    """Judge the MAC addresses that answered."""
    due = expected(address, view)
    answers = []
    for mac in sorted(set(macs)):
        node = view.node_of(mac)
        standing = Standing.STRANGER
        if node:
            standing = Standing.ELECTED if node == due.node else Standing.NOT_ELECTED
        answers.append(Answer(mac, node, standing))
    return Finding(address, due, tuple(answers))
