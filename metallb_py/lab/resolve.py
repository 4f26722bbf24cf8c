"""Resolution of an address on a link, by ARP or NDP, with the answers of all hosts. Needs scapy."""

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

REQUESTS = 3
PAUSE_SECONDS = 0.3
_REPLY = 2


def resolve(
    address: IPAddress,
    interface: str = "",
    *,
    requests: int = REQUESTS,
    pause: float = PAUSE_SECONDS,
    first: bool = False,
) -> tuple[str, ...]:
    """Return the MAC addresses that answer for an address; with ``first``, the first one alone.

    ``requests`` requests are sent, with ``pause`` seconds after each. Raises OSError.
    """
    device = interface or _route(address)
    if device not in get_if_list():
        raise OSError(f"no interface {device}")
    request = _solicitation(address, device) if address.version == 6 else _request(address, device)
    sock = conf.L2socket(iface=device)  # open before the first request, so that it misses nothing
    try:
        sniffer = AsyncSniffer(
            opened_socket=sock,
            lfilter=lambda frame: bool(_answer(frame, address)),
            stop_filter=lambda _: first,
        )
        sniffer.start()
        for _ in range(requests):
            sock.send(request)
            sniffer.join(timeout=pause)
            if not sniffer.running:
                break
        frames = (sniffer.stop() if sniffer.running else sniffer.results) or ()
    except Scapy_Exception as error:
        raise OSError(str(error)) from error
    finally:
        sock.close()
    return tuple(sorted({_answer(frame, address) for frame in frames} - {get_if_hwaddr(device)}))


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
    if source != "::":  # without a source address it is sent as for duplicate address detection
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
    return Ether(src=mac, dst=in6_getnsmac(group)) / packet


def _answer(frame: Packet, address: IPAddress) -> str:
    """Return the MAC address that a frame answers with; empty where it is no answer."""
    if ARP in frame and frame[ARP].op == _REPLY and frame[ARP].psrc == str(address):
        # A gratuitous reply has the same sender and target: it is no answer.
        return "" if frame[ARP].pdst == str(address) else str(frame[ARP].hwsrc)
    if ICMPv6ND_NA in frame and IPv6Address(frame[ICMPv6ND_NA].tgt) == address:
        option = frame.getlayer(ICMPv6NDOptDstLLAddr)
        return str(option.lladdr if option else frame.src)
    return ""
