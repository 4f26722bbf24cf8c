"""Asks a wire for an address, as any host does, and hears everybody who answers. Wants scapy."""

from __future__ import annotations

from ipaddress import IPv6Address

from scapy.arch import get_if_hwaddr
from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.interfaces import get_if_list
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.sendrecv import AsyncSniffer
from scapy.utils6 import in6_getnsma, in6_getnsmac

from metallb_py.addresses import IPAddress

QUESTIONS = 3
PAUSE_SECONDS = 0.3
_REPLY = 2


def resolve(
    address: IPAddress,
    interface: str = "",
    *,
    questions: int = QUESTIONS,
    pause: float = PAUSE_SECONDS,
    first: bool = False,
) -> tuple[str, ...]:
    """Return the MAC addresses that answer for an address; only the ``first`` where that will do.

    So many questions are asked, each with a pause after it, in seconds. Raises OSError.
    """
    there = interface or _route(address)
    if there not in get_if_list():
        raise OSError(f"no interface {there}")
    question = _solicitation(address, there) if address.version == 6 else _request(address, there)
    wire = conf.L2socket(iface=there)  # open before the first question, so that it misses nothing
    try:
        sniffer = AsyncSniffer(
            opened_socket=wire,
            lfilter=lambda frame: bool(_answer(frame, address)),
            stop_filter=lambda _: first,
        )
        sniffer.start()
        for _ in range(questions):
            wire.send(question)
            sniffer.join(timeout=pause)
            if not sniffer.running:
                break
        heard = (sniffer.stop() if sniffer.running else sniffer.results) or ()
    except Scapy_Exception as error:
        raise OSError(str(error)) from error
    finally:
        wire.close()
    return tuple(sorted({_answer(frame, address) for frame in heard} - {get_if_hwaddr(there)}))


def _route(address: IPAddress) -> str:
    table = conf.route6 if address.version == 6 else conf.route
    return str(table.route(str(address))[0])


def _request(address: IPAddress, interface: str) -> Packet:
    mac = get_if_hwaddr(interface)
    source = conf.route.route(str(address), dev=interface)[1]
    packet = ARP(hwsrc=mac, psrc=source, pdst=str(address))
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / packet


def _solicitation(address: IPAddress, interface: str) -> Packet:
    mac = get_if_hwaddr(interface)
    group = in6_getnsma(IPv6Address(address).packed)
    source = conf.route6.route(str(address), dev=interface)[1]
    packet = IPv6(src=source, dst=str(IPv6Address(group)), hlim=255) / ICMPv6ND_NS(tgt=str(address))
    if source != "::":  # without an address of its own it asks as a host does that wants this one
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
    return Ether(src=mac, dst=in6_getnsmac(group)) / packet


def _answer(frame: Packet, address: IPAddress) -> str:
    """Return the MAC address that a frame answers with; empty where it is no answer."""
    if ARP in frame and frame[ARP].op == _REPLY and frame[ARP].psrc == str(address):
        # A gratuitous reply has the same sender and target: it answers nobody.
        return "" if frame[ARP].pdst == str(address) else str(frame[ARP].hwsrc)
    if ICMPv6ND_NA in frame and IPv6Address(frame[ICMPv6ND_NA].tgt) == address:
        option = frame.getlayer(ICMPv6NDOptDstLLAddr)
        return str(option.lladdr if option else frame.src)
    return ""
