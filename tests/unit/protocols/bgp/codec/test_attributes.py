from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from metallb_py.errors import LocalProtocolError
from metallb_py.model.peers import Origin
from metallb_py.protocols.bgp.codec.attributes import (
    AsSegment,
    LinkBandwidth,
    PathAttributes,
    SegmentKind,
    decode_attributes,
    decode_communities,
    decode_large_communities,
    decode_link_bandwidth,
    encode_attributes,
    encode_communities,
    encode_large_communities,
    encode_link_bandwidth,
    split_attributes,
)
from metallb_py.protocols.bgp.codec.codes import BgpError

EXTERNAL = PathAttributes(
    Origin.INCOMPLETE,
    (AsSegment(SegmentKind.SEQUENCE, (64512,)),),
    communities=(0xFC000001, 0xFFFFFF01),
)


def decoded(data: bytes, *, four_octet: bool) -> PathAttributes:
    split = split_attributes(data)
    if split.malformation is not None:
        raise split.malformation
    return decode_attributes(split.values, four_octet=four_octet)


def test_path_attributes_of_an_external_route_in_bytes() -> None:
    data = encode_attributes(EXTERNAL, four_octet=True, next_hop=IPv4Address("10.0.0.1"))

    assert data.hex(" ") == (
        "40 01 01 02 "  # ORIGIN INCOMPLETE
        "40 02 06 02 01 00 00 fc 00 "  # AS_PATH, a sequence of one
        "40 03 04 0a 00 00 01 "  # NEXT_HOP
        "c0 08 08 fc 00 00 01 ff ff ff 01"  # COMMUNITIES 64512:1, no-export
    )


def test_path_attributes_of_an_internal_route_in_bytes() -> None:
    internal = PathAttributes(Origin.INCOMPLETE, local_pref=0)
    data = encode_attributes(internal, four_octet=True, next_hop=IPv4Address("10.0.0.1"))

    assert data.hex(" ") == "40 01 01 02 40 02 00 40 03 04 0a 00 00 01 40 05 04 00 00 00 00"


def test_as_path_has_two_octet_asns_in_a_two_octet_session() -> None:
    narrow = encode_attributes(EXTERNAL, four_octet=False, next_hop=None)

    assert bytes.fromhex("40 02 04 02 01 fc 00") in narrow
    assert decoded(narrow, four_octet=False) == EXTERNAL


def test_four_octet_asn_in_a_two_octet_session_is_a_local_error() -> None:
    wide = PathAttributes(Origin.IGP, (AsSegment(SegmentKind.SEQUENCE, (65536,)),))

    with pytest.raises(LocalProtocolError, match="65536"):
        encode_attributes(wide, four_octet=False, next_hop=None)


def test_more_than_63_communities_use_an_extended_length() -> None:
    many = PathAttributes(Origin.IGP, communities=tuple(range(64)))
    data = encode_attributes(many, four_octet=True, next_hop=None)

    assert bytes.fromhex("d0 08 0100") in data
    assert decoded(data, four_octet=True) == many


ORIGIN = "400101 00"
EMPTY_PATH = "400200"


@pytest.mark.parametrize(
    ("wire", "subcode"),
    [
        ("400101", 1),  # value missing
        ("4001", 1),
        (EMPTY_PATH, 3),  # no ORIGIN
        (ORIGIN, 3),  # no AS_PATH
        ("C00101 00" + EMPTY_PATH, 4),  # ORIGIN as optional
        ("4063 00", 2),  # unrecognized, but flagged as well-known
        ("400102 0000" + EMPTY_PATH, 5),
        ("400101 03" + EMPTY_PATH, 6),
        (ORIGIN + EMPTY_PATH + "400503 000000", 5),
        (ORIGIN + EMPTY_PATH + "800402 0000", 5),
        (ORIGIN + EMPTY_PATH + "C00803 000000", 9),
        (ORIGIN + EMPTY_PATH + "C00800", 9),  # no community at all
        (ORIGIN + "400203 020100", 11),  # segment cut short
        (ORIGIN + "400206 0901 00000001", 11),  # kind of segment unknown
        (ORIGIN + "400202 0200", 11),  # empty segment
    ],
)
def test_malformed_attribute_raises_the_update_error_of_rfc_4271(wire: str, subcode: int) -> None:
    with pytest.raises(BgpError) as caught:
        decoded(bytes.fromhex(wire), four_octet=True)

    assert (caught.value.code, caught.value.subcode) == (3, subcode)


def test_unknown_optional_attributes_and_atomic_aggregate_are_accepted() -> None:
    wire = bytes.fromhex(ORIGIN + EMPTY_PATH + "400600" + "E06302 abcd")

    assert decoded(wire, four_octet=True) == PathAttributes(Origin.IGP)


def test_first_of_a_repeated_attribute_is_used() -> None:
    wire = bytes.fromhex(ORIGIN + EMPTY_PATH + "400101 02")

    assert decoded(wire, four_octet=True).origin is Origin.IGP


@pytest.mark.parametrize("wire", ["800e00 800e00", "800f00 800f00"])
def test_repeated_mp_reach_or_mp_unreach_nlri_is_an_error(wire: str) -> None:
    with pytest.raises(BgpError, match="twice") as caught:
        split_attributes(bytes.fromhex(wire))

    assert (caught.value.code, caught.value.subcode) == (3, 1)


def test_attributes_around_a_malformed_one_are_still_returned() -> None:
    split = split_attributes(bytes.fromhex("C00101 00" + EMPTY_PATH + "4005"))

    assert split.values == {1: b"\0", 2: b""}
    assert split.malformation is not None
    assert "ORIGIN" in str(split.malformation)


def test_communities_in_bytes() -> None:
    assert encode_communities((0xFFFFFF01, 1)).hex() == "ffffff0100000001"
    assert decode_communities(bytes.fromhex("ffffff0100000001")) == (0xFFFFFF01, 1)


def test_large_communities_in_bytes() -> None:
    wire = bytes.fromhex("fa56ea00 00000001 ffffffff")

    assert encode_large_communities(((4200000000, 1, 0xFFFFFFFF),)) == wire
    assert decode_large_communities(wire) == ((4200000000, 1, 0xFFFFFFFF),)


def test_repeated_large_community_is_returned_once() -> None:
    assert decode_large_communities(3 * bytes(12)) == ((0, 0, 0),)


@pytest.mark.parametrize(
    ("asn", "wire"),
    [
        (64512, "40 04 fc00 4cee6b28"),
        (65535, "40 04 ffff 4cee6b28"),
        (65536, "40 04 5ba0 4cee6b28"),
    ],
)
def test_link_bandwidth_in_bytes(asn: int, wire: str) -> None:
    assert encode_link_bandwidth(LinkBandwidth(asn, 125e6)).hex() == bytes.fromhex(wire).hex()


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        ("4004 fc00 4cee6b28", LinkBandwidth(64512, 125e6)),
        ("0004 fc00 4cee6b28", LinkBandwidth(64512, 125e6)),  # transitive, as some routers send it
        ("0002 fc00 00000001 4004 fc00 00000000", LinkBandwidth(64512, 0)),
        ("0002 fc00 00000001", None),  # a route target
        ("4104 fc00 4cee6b28", None),  # of another type
        ("4004 fc00 7fc00000", None),  # not a number
        ("4004 fc00 7f800000", None),  # infinite
        ("4004 fc00 bf800000", None),  # negative
    ],
)
def test_link_bandwidth_among_extended_communities(wire: str, found: LinkBandwidth | None) -> None:
    assert decode_link_bandwidth(bytes.fromhex(wire)) == found


@pytest.mark.parametrize("length", [0, 1, 5])
@pytest.mark.parametrize(
    "decode", [decode_communities, decode_large_communities, decode_link_bandwidth]
)
def test_wrong_community_length_is_an_optional_attribute_error(decode: object, length: int) -> None:
    assert callable(decode)
    with pytest.raises(BgpError, match=f"found {length} bytes") as caught:
        decode(bytes(length))
    assert (caught.value.code, caught.value.subcode) == (3, 9)
