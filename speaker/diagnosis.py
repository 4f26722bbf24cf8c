"""Diagnosis of layer 2 replies: which node should answer for an address, and which hosts do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from metallb_py.addresses import IPAddress
from metallb_py.model.config import Protocol
from speaker.where import View, where


@dataclass(frozen=True, slots=True)
class Expected:
    """The node that should answer, empty for no node, and the reason.

    ``services`` are the keys of the services that hold the address.
    """

    node: str = ""
    services: tuple[str, ...] = ()
    why: str = ""


class AnswererStatus(StrEnum):
    """Assessment of a host that answers."""

    ELECTED = "elected"
    NOT_ELECTED = "not elected"
    UNKNOWN_HOST = "no node with a speaker"


@dataclass(frozen=True, slots=True)
class Answer:
    """A host that answers for the address; ``node`` is empty if no node has its MAC address."""

    mac: str
    node: str
    status: AnswererStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """The expected answerer of an address, and the hosts that answered."""

    address: IPAddress
    expected: Expected
    answers: tuple[Answer, ...]

    @property
    def is_right(self) -> bool:
        """Whether exactly one host answers, and it is the elected node."""
        return [answer.status for answer in self.answers] == [AnswererStatus.ELECTED]


def expected(address: IPAddress, view: View) -> Expected:
    """Return which node should answer for an address, and why."""
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
    """Compare the MAC addresses that answered with the node that should answer."""
    due = expected(address, view)
    answers = []
    for mac in sorted(set(macs)):
        node = view.node_of(mac)
        status = AnswererStatus.UNKNOWN_HOST
        if node:
            status = AnswererStatus.ELECTED if node == due.node else AnswererStatus.NOT_ELECTED
        answers.append(Answer(mac, node, status))
    return Finding(address, due, tuple(answers))
