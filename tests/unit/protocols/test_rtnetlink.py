"""rtnetlink codec, compared with pyroute2."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.rtnetlink import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_UP,
    Address,
    DumpDone,
    Link,
    LinkGone,
    NetlinkError,
    decode,
    request_addresses,
    request_links,
)

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 16, 17, 20, 21, 24
ETH0 = Link(
    index=7,
    name="eth0",
    hardware_type=ARPHRD_ETHER,
    flags=IFF_UP | IFF_BROADCAST,
    mac=MacAddress(bytes.fromhex("020000000001")),
    master=3,
)


def message(kind: int = RTM_NEWLINK, family: int = 0, **attributes: object) -> bytes:
    """Return a link message about eth0, built by pyroute2."""
    link = ifinfmsg()
    link["header"]["type"] = kind
    link["header"]["sequence_number"] = 5
    link["family"], link["ifi_type"], link["index"], link["flags"] = family, 1, 7, 3
    link["attrs"] = [(f"IFLA_{name}", value) for name, value in attributes.items()]
    link.encode()
    return bytes(link.data)


def whole(**other: object) -> bytes:
    attributes = {"IFNAME": "eth0", "MTU": 1500, "ADDRESS": "02:00:00:00:00:01", "MASTER": 3}
    return message(**(attributes | other))


def header(length: int, kind: int, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", length, kind, flags, 5, 0)


def test_link_message_with_all_attributes_is_decoded() -> None:
    assert decode(whole()) == (ETH0,)


def test_a_link_without_address_or_master() -> None:
    (link,) = decode(message(IFNAME="tun0"))
    assert isinstance(link, Link)
    assert (link.name, link.mac, link.master) == ("tun0", b"", 0)


def test_carrier_up_count_is_decoded() -> None:
    (link,) = decode(message(IFNAME="eth0", CARRIER_UP_COUNT=5))
    assert isinstance(link, Link)
    assert link.carriers == 5


def test_several_messages_in_one_datagram() -> None:
    done = header(20, 3) + bytes(4)
    assert decode(whole() + message(RTM_DELLINK, IFNAME="eth0") + done) == (
        ETH0,
        LinkGone(7),
        DumpDone(5, complete=True),
    )


def test_interrupted_dump_is_not_complete() -> None:
    assert decode(header(20, 3, flags=0x10) + bytes(4)) == (DumpDone(5, complete=False),)


def test_sequence_number_distinguishes_a_dump_from_an_event() -> None:
    event = whole()
    length, kind, _, sequence, port = struct.unpack_from("=IHHII", event)
    part = struct.pack("=IHHII", length, kind, 0x2, sequence, port) + event[16:]

    for data, number in ((event, 0), (part, 5)):
        (link,) = decode(data)
        assert isinstance(link, Link)
        assert link.sequence == number


def test_af_bridge_message_about_a_port_is_ignored() -> None:
    # A port that leaves its bridge is "deleted", in family AF_BRIDGE.
    assert decode(message(RTM_DELLINK, family=7, IFNAME="eth0")) == ()


def test_other_message_types_are_ignored() -> None:
    assert decode(message(RTM_NEWROUTE) + header(16, 2)) == ()
    assert decode(b"") == ()


def test_link_dump_request_is_decoded_by_pyroute2() -> None:
    request = ifinfmsg(request_links(9))
    request.decode()

    assert request["header"]["type"] == 18  # RTM_GETLINK
    assert request["header"]["flags"] == 0x301  # NLM_F_REQUEST | NLM_F_DUMP
    assert request["header"]["sequence_number"] == 9
    assert request["header"]["length"] == len(request_links(9))
    assert request.get_attr("IFLA_EXT_MASK") == 8  # RTEXT_FILTER_SKIP_STATS


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bytes(15), "message header: found 15 bytes, want 16"),
        (header(15, 16), "message length: found 15, want up to 16"),
        (header(17, 16), "message length: found 17, want up to 16"),
        (header(20, 16) + bytes(4), "link message: found 4 bytes, want 16"),
        (header(36, 16) + bytes(16) + b"\3\0\3\0", "attribute length: found 3, want up to 4"),
        (header(36, 16) + bytes(16) + b"\5\0\3\0", "attribute length: found 5, want up to 4"),
    ],
)
def test_malformed_netlink_message_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(NetlinkError, match=problem):
        decode(data)
    assert issubclass(NetlinkError, RemoteProtocolError)


def address_message(kind: int = RTM_NEWADDR, **attributes: str) -> bytes:
    """Return an address message about interface 7, built by pyroute2."""
    made = ifaddrmsg()
    made["header"]["type"] = kind
    family = AF_INET6 if ":" in "".join(attributes.values()) else AF_INET
    made["family"], made["prefixlen"], made["scope"], made["index"] = family, 24, 0, 7
    made["attrs"] = [(f"IFA_{name}", value) for name, value in attributes.items()]
    made.encode()
    return bytes(made.data)


def test_added_and_deleted_addresses_are_decoded() -> None:
    packed = bytes([192, 0, 2, 9])
    added = address_message(ADDRESS="192.0.2.9", LOCAL="192.0.2.9")
    assert decode(added) == (Address(7, packed, 24, 0),)
    deleted = address_message(RTM_DELADDR, ADDRESS="192.0.2.9")
    assert decode(deleted) == (Address(7, packed, 24, 0, present=False),)


def test_point_to_point_link_has_peer_and_local_address() -> None:
    (found,) = decode(address_message(ADDRESS="198.51.100.1", LOCAL="192.0.2.9"))
    assert isinstance(found, Address)
    assert found.address == bytes([198, 51, 100, 1])
    assert found.local == bytes([192, 0, 2, 9])


def test_ipv6_address_without_local_attribute_is_its_own_local() -> None:
    (found,) = decode(address_message(ADDRESS="2001:db8::7"))
    assert isinstance(found, Address)
    assert found.address == found.local == ip_address("2001:db8::7").packed


def test_address_message_without_an_address_is_ignored() -> None:
    assert decode(address_message(LABEL="eth0")) == ()


def test_address_dump_request_is_decoded_by_pyroute2() -> None:
    request = ifaddrmsg(request_addresses(9))
    request.decode()
    assert request["header"]["type"] == 22  # RTM_GETADDR
    assert request["header"]["flags"] == 0x301  # NLM_F_REQUEST | NLM_F_DUMP
    assert request["family"] == 0
