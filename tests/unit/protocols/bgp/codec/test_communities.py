from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.codec.codes import BgpError
from metallb_py.protocols.bgp.codec.communities import (
    LinkBandwidth,
    decode_communities,
    decode_large_communities,
    decode_link_bandwidth,
    encode_communities,
    encode_large_communities,
    encode_link_bandwidth,
)


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
