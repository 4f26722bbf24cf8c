"""Which network interfaces answer: MetalLB's rules, on a table that follows the kernel's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from metallb_py.protocols.rtnetlink import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_NOARP,
    IFF_UP,
    Address,
    DumpDone,
    Link,
    LinkGone,
    Message,
)

_MAC_LENGTH = 6
_WANTED_FLAGS = IFF_UP | IFF_BROADCAST


EXCLUDED = (
    *("^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*"),
    *("^tunl.*", "^flannel.*", "^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*"),
)
"""The interfaces of containers and their networks, by name: those that MetalLB leaves out, too."""


def excluding(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether one of these regular expressions is found in a name.

    Raises re.error where one of them is none.
    """
    compiled = tuple(re.compile(pattern) for pattern in patterns)
    return lambda name: any(pattern.search(name) for pattern in compiled)


def answers_arp(link: Link) -> bool:
    """Whether an interface gets an ARP responder.

    Members of a bridge, bond or VRF leave it to their master. An IPv4 address of its own is not
    needed.
    """
    return (
        link.hardware_type == ARPHRD_ETHER
        and len(link.mac) == _MAC_LENGTH
        and not link.master
        and link.flags & (_WANTED_FLAGS | IFF_NOARP) == _WANTED_FLAGS
    )


class LinkTable:
    """The interfaces of this machine, from events and from complete lists, in any mixture."""

    __slots__ = ("_begun", "_links", "_seen", "_sequence", "listed")

    def __init__(self) -> None:
        self.listed = False
        """Whether a complete list was read since the start."""
        self._sequence = 0  # of the list that was asked for last
        self._begun = 0  # of the list that is being read
        self._links: dict[int, Link] = {}
        self._seen: set[int] = set()

    @property
    def links(self) -> Mapping[int, Link]:
        """Every interface, by index."""
        return self._links

    def list_requested(self) -> int:
        """A complete list will be asked for; returns the number to do it with.

        What is named neither by it nor by an event between its parts is gone.
        """
        self._sequence += 1
        return self._sequence

    def receive(self, messages: Iterable[Message]) -> bool:
        """Apply what the kernel said. Returns False where a list is of no use: ask again."""
        complete = True
        for message in messages:
            match message:
                case Link(index=index):
                    self._links[index] = message
                    self._note(message)
                case LinkGone(index=index):
                    self._links.pop(index, None)
                    self._seen.discard(index)
                case DumpDone():
                    complete &= self._list_ended(message)
                case Address():
                    pass
        return complete

    def _note(self, link: Link) -> None:
        """Remember what was named. Events that waited before the list began may be outdated."""
        if link.sequence not in (0, self._begun):
            self._begun = link.sequence
            self._seen.clear()
        self._seen.add(link.index)

    def _list_ended(self, end: DumpDone) -> bool:
        # The end of an earlier list: while that was made, the kernel refused to make ours.
        if end.sequence != self._sequence or not end.complete:
            return False
        for index in self._links.keys() - self._seen:
            del self._links[index]
        self.listed = True
        return True
