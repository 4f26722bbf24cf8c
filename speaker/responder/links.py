"""Selection of the network interfaces that answer, by MetalLB's rules, and the table of links."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from metallb_py.model.patterns import compile_pattern
from metallb_py.protocols.rtnetlink import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_NOARP,
    IFF_UP,
    Link,
    LinkGone,
    Message,
)
from speaker.responder.kernel_table import Change, KernelTable

_MAC_LENGTH = 6
_WANTED_FLAGS = IFF_UP | IFF_BROADCAST


EXCLUDED = (
    *("^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*"),
    *("^tunl.*", "^flannel.*", "^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*"),
)
"""Default patterns of interfaces that do not answer: those of containers, as in MetalLB."""


def excluding(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate: whether one of these regular expressions matches a part of a name.

    Raises PatternError for an invalid one.
    """
    compiled = tuple(map(compile_pattern, patterns))
    return lambda name: any(pattern.is_found_in(name) for pattern in compiled)


def answers_arp(link: Link) -> bool:
    """Whether an interface gets an ARP responder.

    For members of a bridge, bond or VRF the master answers. An IPv4 address on the interface is
    not needed.
    """
    return (
        link.hardware_type == ARPHRD_ETHER
        and len(link.mac) == _MAC_LENGTH
        and not link.master
        and link.flags & (_WANTED_FLAGS | IFF_NOARP) == _WANTED_FLAGS
    )


class LinkTable(KernelTable[int, Link]):
    """The interfaces of this machine, by index."""

    __slots__ = ()

    def read(self, message: Message) -> Change[int, Link] | None:
        """Return the change of an interface that a message contains."""
        match message:
            case Link(index=index, sequence=sequence):
                return Change(index, message, sequence)
            case LinkGone(index=index):
                return Change(index, None)
            case _:
                return None
