from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.capabilities import (
    Capability,
    FourOctetAsn,
    Multiprotocol,
    OtherCapability,
    RouteRefresh,
    decode_capabilities,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codes import AddressFamily, BgpError

CASES: list[tuple[str, Capability]] = [
    ("01 04 0001 00 01", Multiprotocol(AddressFamily.IPV4)),
    ("01 04 0002 00 01", Multiprotocol(AddressFamily.IPV6)),
    ("02 00", RouteRefresh()),
    ("41 04 00010000", FourOctetAsn(65536)),
    ("40 02 8078", OtherCapability(64, b"\x80\x78")),
    # IPv4 multicast, and a family that we do not speak at all: neither is an error.
    ("01 04 0001 00 02", OtherCapability(1, bytes.fromhex("00010002"))),
    ("01 04 0019 00 46", OtherCapability(1, bytes.fromhex("00190046"))),
]


@pytest.mark.parametrize(("wire", "meaning"), CASES)
def test_each_capability_in_bytes(wire: str, meaning: Capability) -> None:
    data = bytes.fromhex(wire)

    assert list(decode_capabilities(data)) == [meaning]
    assert encode_capabilities((meaning,)) == data


def test_the_reserved_byte_of_multiprotocol_is_ignored() -> None:
    data = bytes.fromhex("01 04 0002 55 01")

    assert list(decode_capabilities(data)) == [Multiprotocol(AddressFamily.IPV6)]


@pytest.mark.parametrize("wire", ["01", "01 04 0001 00", "02 01 00", "41 02 0001", "01 03 000101"])
def test_lengths_that_do_not_fit_are_an_open_error_without_subcode(wire: str) -> None:
    with pytest.raises(BgpError) as caught:
        list(decode_capabilities(bytes.fromhex(wire)))

    assert (caught.value.code, caught.value.subcode) == (2, 0)
