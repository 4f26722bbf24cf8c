"""Fuzzer of ARP and neighbor discovery frames: random ones, and damaged valid ones.

The valid ones are built by scapy. Damaged solicitations often get a correct checksum again, since
the code behind the checksum test would otherwise never be reached.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from random import Random

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

BROADCAST = "ff:ff:ff:ff:ff:ff"
HOST_MAC = "02:00:00:00:00:02"
_FIRST_OF_MESSAGE = 54
_CHECKSUM = slice(56, 58)


class Fuzzer:
    """Generates frames for a node with this MAC address that owns an IPv4 and an IPv6 address."""

    def __init__(self, random: Random, mac: str, vip: str, vip6: str) -> None:
        self._random = random
        self._valid = [bytes(frame) for frame in _valid_frames(mac, vip, vip6)]

    def frame(self) -> bytes:
        """Return the next frame."""
        random = self._random
        if random.random() < 0.05:
            return random.randbytes(random.randrange(0, 120))
        data = bytearray(random.choice(self._valid))
        for _ in range(random.randrange(0, 4)):
            self._damage(data)
        if random.random() < 0.7 and len(data) > _CHECKSUM.stop and data[12:14] == b"\x86\xdd":
            _fix_checksum(data)
        return bytes(data)

    def _damage(self, data: bytearray) -> None:
        random = self._random
        position = random.randrange(len(data) + 1)
        match random.randrange(7):
            case 0 if position < len(data):
                data[position] ^= 1 << random.randrange(8)
            case 1 if position < len(data):
                data[position] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 2:
                del data[position:]
            case 3:
                data += random.randbytes(random.randrange(40))
            case 4:
                data[position:position] = random.randbytes(random.randrange(1, 9))
            case 5:
                del data[position : position + random.randrange(1, 9)]
            case _:
                other = random.choice(self._valid)
                data[position:] = other[position:]


def _valid_frames(mac: str, vip: str, vip6: str) -> list[Packet]:
    arp = ARP(op=1, hwsrc=HOST_MAC, psrc="192.0.2.2", pdst=vip)
    group = in6_getnsma(IPv6Address(vip6).packed)
    multicast = {"src": HOST_MAC, "dst": in6_getnsmac(group)}
    to_group = IPv6(src="fe80::2", dst=str(IPv6Address(group)), hlim=255)
    solicitation = ICMPv6ND_NS(tgt=vip6)
    option = ICMPv6NDOptSrcLLAddr(lladdr=HOST_MAC)
    probe = IPv6(src="::", dst=to_group.dst, hlim=255)
    return [
        Ether(src=HOST_MAC, dst=BROADCAST) / arp,
        Ether(src=HOST_MAC, dst=mac) / arp / bytes(18),
        Ether(src=HOST_MAC, dst=BROADCAST) / Dot1Q(vlan=0, prio=5) / arp,
        Ether(src=HOST_MAC, dst=BROADCAST) / Dot1Q(vlan=7) / arp,
        Ether(src=HOST_MAC, dst=BROADCAST) / ARP(op=1, hwsrc=HOST_MAC, psrc="0.0.0.0", pdst=vip),
        Ether(src=HOST_MAC, dst=BROADCAST) / ARP(op=2, hwsrc=HOST_MAC, psrc=vip, pdst=vip),
        Ether(**multicast) / to_group / solicitation / option,
        Ether(**multicast) / to_group / solicitation,
        Ether(**multicast) / to_group / solicitation / ICMPv6NDOptMTU() / option,
        Ether(**multicast) / probe / solicitation,
        Ether(**multicast) / Dot1Q(vlan=0) / to_group / solicitation / option,
        Ether(src=HOST_MAC, dst=mac)
        / IPv6(src="fe80::2", dst=vip6, hlim=255)
        / solicitation
        / option,
        Ether(src=HOST_MAC, dst=mac) / IPv6(src="fe80::2", dst=vip6, hlim=255) / solicitation,
        Ether(src=HOST_MAC, dst=mac) / IPv6(src="fe80::2", dst=vip6) / ICMPv6ND_NA(tgt=vip6),
    ]


def _fix_checksum(data: bytearray) -> None:
    data[_CHECKSUM] = b"\0\0"
    length = int.from_bytes(data[18:20])
    message = bytes(data[_FIRST_OF_MESSAGE : _FIRST_OF_MESSAGE + length])
    summed = bytes(data[22:54]) + length.to_bytes(4) + (58).to_bytes(4) + message
    summed += b"\0" * (len(summed) % 2)
    total = sum(int.from_bytes(summed[i : i + 2]) for i in range(0, len(summed), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    data[_CHECKSUM] = (0xFFFF - total).to_bytes(2)
