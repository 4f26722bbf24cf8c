"""Which network interfaces answer: MetalLB's rules, on a table that follows the kernel's."""

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
"""The interfaces of containers and their networks, by name: those that MetalLB leaves out, too."""


def excluding(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether one of these regular expressions is found in a name.

    Raises PatternError where one of them is none.
    """
    compiled = tuple(map(compile_pattern, patterns))
    return lambda name: any(pattern.is_found_in(name) for pattern in compiled)


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


class LinkTable(KernelTable[int, Link]):
    """The interfaces of this machine, by index."""

    __slots__ = ()

    def read(self, message: Message) -> Change[int, Link] | None:
        """Return what a message says of an interface."""
        match message:
            case Link(index=index, sequence=sequence):
                return Change(index, message, sequence)
            case LinkGone(index=index):
                return Change(index, None)
            case _:
                return None
