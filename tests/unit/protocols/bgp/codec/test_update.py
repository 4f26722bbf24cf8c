from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.errors import LocalProtocolError
from metallb_py.model.peers import Origin
from metallb_py.protocols.bgp.codec.attributes import PathAttributes
from metallb_py.protocols.bgp.codec.codes import BgpError
from metallb_py.protocols.bgp.codec.update import (
    Reach,
    Update,
    decode_update,
    encode_update,
)

NEXT_HOP = IPv4Address("10.0.0.1")
NEXT_HOP_V6 = IPv6Address("fd00::1")
ATTRIBUTES = PathAttributes(Origin.INCOMPLETE)
COMMON = "40 01 01 02 40 02 00"


def v4(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in texts)


def v6(*texts: str) -> tuple[IPv6Network, ...]:
    return tuple(IPv6Network(text) for text in texts)


def check_both_ways(update: Update, wire: str) -> None:
    assert encode_update(update, four_octet=True).hex(" ") == bytes.fromhex(wire).hex(" ")
    assert decode_update(bytes.fromhex(wire), four_octet=True) == update


def test_an_ipv4_announcement_in_bytes() -> None:
    reach = Reach(NEXT_HOP, v4("192.0.2.1/32", "198.51.100.0/24", "128.0.0.0/1", "0.0.0.0/0"))

    check_both_ways(
        Update(reach=(reach,), attributes=ATTRIBUTES),
        "0000 000e" + COMMON + "40 03 04 0a000001" + "20 c0000201 18 c63364 01 80 00",
    )


def test_an_ipv6_announcement_in_bytes() -> None:
    reach = Reach(NEXT_HOP_V6, v6("2001:db8::1/128", "2001:db8::/33"))
    mp_reach = (
        "80 0e 2c 0002 01 10 fd000000000000000000000000000001 00"
        "80 20010db8000000000000000000000001 21 20010db800"
    )

    check_both_ways(Update(reach=(reach,), attributes=ATTRIBUTES), "0000 0036" + mp_reach + COMMON)


def test_withdrawals_in_bytes() -> None:
    check_both_ways(Update(withdrawn=v4("192.0.2.1/32")), "0005 20c0000201 0000")
    check_both_ways(Update(withdrawn=v6("2001:db8::/32")), "0000 000b 800f08 0002 01 20 20010db8")


@pytest.mark.parametrize(
    ("family", "wire"),
    [
        (AddressFamily.IPV4, "0000 0000"),
        (AddressFamily.IPV6, "0000 0006 80 0f 03 0002 01"),
    ],
)
def test_update_without_prefixes_is_end_of_rib(family: AddressFamily, wire: str) -> None:
    check_both_ways(Update(end_of_rib=family), wire)


def test_ipv4_end_of_rib_may_use_mp_unreach_nlri() -> None:
    ended = decode_update(bytes.fromhex("0000 0006 80 0f 03 0001 01"), four_octet=True)

    assert ended == Update(end_of_rib=AddressFamily.IPV4)


@pytest.mark.parametrize("wire", ["0000 0006 80 0f 03 0001 80", "0000 0004 40 01 01 00"])
def test_other_updates_without_prefixes_are_not_end_of_rib(wire: str) -> None:
    assert decode_update(bytes.fromhex(wire), four_octet=True) == Update()


def test_bits_beyond_the_prefix_length_are_ignored() -> None:
    update = decode_update(bytes.fromhex("0002 04ff 0000"), four_octet=True)

    assert update.withdrawn == v4("240.0.0.0/4")


def test_ipv6_next_hop_may_include_a_link_local_address() -> None:
    check_both_ways(
        Update(
            reach=(Reach(NEXT_HOP_V6, v6("::/0"), IPv6Address("fe80::1")),),
            attributes=ATTRIBUTES,
        ),
        "0000 0030 80 0e 26 0002 01 20 fd000000000000000000000000000001"
        "fe800000000000000000000000000001 00 00" + COMMON,
    )


def test_ipv4_prefixes_may_have_an_ipv6_next_hop() -> None:
    check_both_ways(
        Update(reach=(Reach(NEXT_HOP_V6, v4("192.0.2.0/24")),), attributes=ATTRIBUTES),
        "0000 0023 80 0e 19 0001 01 10 fd000000000000000000000000000001 00 18c00002" + COMMON,
    )


def test_ipv4_prefixes_may_use_mp_reach_and_mp_unreach_nlri() -> None:
    reach = "80 0e 0d 0001 01 04 0a000001 00 18c00002"
    unreach = "80 0f 07 0001 01 18c63364"
    body = bytes.fromhex("0000 0021" + reach + unreach + COMMON)

    assert decode_update(body, four_octet=True) == Update(
        v4("198.51.100.0/24"), (Reach(NEXT_HOP, v4("192.0.2.0/24")),), ATTRIBUTES
    )


def test_unsupported_address_families_are_ignored() -> None:
    wire = "0000 0012 80 0e 05 0019 46 00 00" + "800f04 0001 02 00" + "40 02 00"

    assert decode_update(bytes.fromhex(wire), four_octet=True) == Update()


@pytest.mark.parametrize(
    "attributes",
    [
        "40 02 00 40 03 04 0a000001",  # no ORIGIN
        COMMON,  # no NEXT_HOP
        COMMON + "40 03 03 0a0000",
        COMMON + "40 03 04 0a000001" + "C0 08 01 00",
        COMMON + "40 03 04 0a000001" + "C0 08 00",  # section 7.8
        COMMON + "40 03 04 0a000001" + "80 04 03 000000",  # 7.4, MED
        COMMON + "40 03 04 0a000001" + "40 05 05 0000000000",  # 7.5, LOCAL_PREF
        COMMON + "40 03 04 0a000001 40",  # 4: less than a header is left
        COMMON + "40 03 04 0a000001 C0 08 05 0000",  # 4: overrun
        "40 01 01 03 40 02 00 40 03 04 0a000001",  # 7.1, ORIGIN
        "40 01 02 0000 40 02 00 40 03 04 0a000001",
        "40 01 01 02 40 02 02 0901 40 03 04 0a000001",  # 7.2, AS_PATH
        "40 01 01 02 40 02 01 02 40 03 04 0a000001",
        "C0 01 01 02 40 02 00 40 03 04 0a000001",  # 3c: flags
    ],
)
def test_malformed_attributes_are_treated_as_withdraw(attributes: str) -> None:
    field = bytes.fromhex(attributes)
    body = b"\0\0" + len(field).to_bytes(2) + field + bytes.fromhex("20 c0000201")
    update = decode_update(body, four_octet=True)

    assert update.withdrawn == v4("192.0.2.1/32")
    assert update.reach == ()
    assert update.malformed


@pytest.mark.parametrize(
    ("wire", "subcode"),
    [
        ("", 1),
        ("0000", 1),
        ("0009 00 0000", 1),  # withdrawn routes overrun the message
        ("0000 0001", 1),  # path attributes overrun it
        ("0001 21 0000", 10),  # a prefix of 33 bits
        ("0003 20c000 0000", 10),  # a prefix cut short
        ("0000 0000 20c000", 10),
        ("0000 0005 800e02 0002 20c0000201", 9),  # MP_REACH_NLRI too short (section 7.11)
        ("0000 000b 800e08 0002 01 03 000000 00", 9),  # a next hop of 3 bytes (7.11)
        ("0000 0018 800e15 0002 01 10 fd000000000000000000000000000001 00 81", 10),  # 5.3
        ("0000 0007 800f04 0002 01 81", 10),  # 5.3
        ("0000 0004 800f01 00", 9),  # MP_UNREACH_NLRI too short (5.3)
        ("0000 0006 800f00 800f00", 1),  # twice (3g)
        ("0000 0004 C0010102", 4),  # malformed, and without NLRI (5.2)
        ("0000 0001 40", 1),
    ],
)
def test_unreadable_prefixes_are_an_error_that_resets_the_session(wire: str, subcode: int) -> None:
    with pytest.raises(BgpError) as caught:
        decode_update(bytes.fromhex(wire), four_octet=True)

    assert (caught.value.code, caught.value.subcode) == (3, subcode)


def test_leading_mp_reach_nlri_is_read_before_a_truncated_attribute() -> None:
    """RFC 7606 section 5.1 puts MP_REACH_NLRI first for this reason."""
    mp_reach = "80 0e 1a 0002 01 10 fd000000000000000000000000000001 00 20 20010db8"
    wire = "0000 001e" + mp_reach + "40"
    update = decode_update(bytes.fromhex(wire), four_octet=True)

    assert update.withdrawn == v6("2001:db8::/32")
    assert update.malformed


def test_mp_unreach_nlri_with_wrong_flags_still_withdraws() -> None:
    wire = "0000 000b C00f08 0002 01 20 20010db8"
    update = decode_update(bytes.fromhex(wire), four_octet=True)

    assert update.withdrawn == v6("2001:db8::/32")
    assert "MP_UNREACH_NLRI" in update.malformed


@pytest.mark.parametrize("discarded", ["40 06 01 00", "C0 07 03 000000"])
def test_malformed_atomic_aggregate_or_aggregator_is_discarded(discarded: str) -> None:
    field = bytes.fromhex(COMMON + "40 03 04 0a000001" + discarded)  # sections 7.6 and 7.7
    body = b"\0\0" + len(field).to_bytes(2) + field + bytes.fromhex("20 c0000201")

    assert decode_update(body, four_octet=True) == Update(
        reach=(Reach(NEXT_HOP, v4("192.0.2.1/32")),), attributes=ATTRIBUTES
    )


@pytest.mark.parametrize(
    "update",
    [
        Update(reach=(Reach(NEXT_HOP, v4("10.0.0.0/32")),)),
        Update(reach=(Reach(NEXT_HOP, ()),), attributes=ATTRIBUTES),
        Update(reach=(Reach(NEXT_HOP, v6("::/0")),), attributes=ATTRIBUTES),
        Update(
            reach=(Reach(NEXT_HOP_V6, (*v6("::/0"), *v4("10.0.0.0/32"))),),
            attributes=ATTRIBUTES,
        ),
        Update(reach=2 * (Reach(NEXT_HOP_V6, v6("::/0")),), attributes=ATTRIBUTES),
        Update(withdrawn=20_000 * v4("10.0.0.0/32")),
    ],
)
def test_update_that_cannot_be_encoded_is_a_local_error(update: Update) -> None:
    with pytest.raises(LocalProtocolError):
        encode_update(update, four_octet=True)
