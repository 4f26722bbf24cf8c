from __future__ import annotations

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.protocols.bgp.codec.capabilities import (
    MAX_RESTART_TIME,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAsn,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    NextHopEncoding,
    OtherCapability,
    RestartFamily,
    RouteRefresh,
    decode_capabilities,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codec.codes import BgpError

CASES: list[tuple[str, Capability]] = [
    ("01 04 0001 00 01", Multiprotocol(AddressFamily.IPV4)),
    ("01 04 0002 00 01", Multiprotocol(AddressFamily.IPV6)),
    ("02 00", RouteRefresh()),
    ("41 04 00010000", FourOctetAsn(65536)),
    ("05 06 0001 0001 0002", ExtendedNextHop()),
    (
        "05 0c 0001 0001 0002 0001 0080 0002",
        ExtendedNextHop((NextHopEncoding(1, 1, 2), NextHopEncoding(1, 128, 2))),
    ),
    ("06 00", ExtendedMessage()),
    ("46 00", EnhancedRouteRefresh()),
    ("40 02 8078", GracefulRestart(120, restarting=True)),
    (
        "40 0a 4fff 0001 01 80 0002 01 00",
        GracefulRestart(
            MAX_RESTART_TIME,
            notifications=True,
            families=(RestartFamily(1, forwarding=True), RestartFamily(2)),
        ),
    ),
    ("49 0a 04 6e6f6465 04 6c6f6e65", Hostname("node", "lone")),
    ("49 02 00 00", Hostname("")),
    ("ce 02 8078", OtherCapability(206, b"\x80\x78")),
    # IPv4 multicast, and an unsupported address family: neither is an error.
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


@pytest.mark.parametrize(
    "wire",
    [
        "05 05 0001000100",
        "06 01 00",
        "40 00",
        "40 05 8078000101",
        "46 01 00",
        "49 00",
        "49 03 05 6e6f",
        "49 02 01 6e",
    ],
)
def test_malformed_optional_capability_is_treated_as_unknown(wire: str) -> None:
    data = bytes.fromhex(wire)

    assert list(decode_capabilities(data)) == [OtherCapability(data[0], data[2:])]


def test_reserved_flags_of_graceful_restart_are_ignored() -> None:
    data = bytes.fromhex("40 06 3078 0001 01 7f")

    assert list(decode_capabilities(data)) == [GracefulRestart(120, families=(RestartFamily(1),))]


def test_restart_time_beyond_its_field_becomes_the_maximum() -> None:
    assert encode_capabilities((GracefulRestart(5000),)).hex() == "40020fff"


def test_long_hostname_is_cut_between_characters() -> None:
    (name,) = decode_capabilities(encode_capabilities((Hostname("n" + 40 * "\N{EURO SIGN}"),)))

    assert name == Hostname("n" + 21 * "\N{EURO SIGN}")


@pytest.mark.parametrize("wire", ["01", "01 04 0001 00", "02 01 00", "41 02 0001", "01 03 000101"])
def test_wrong_capability_length_is_an_open_error_without_subcode(wire: str) -> None:
    with pytest.raises(BgpError) as caught:
        list(decode_capabilities(bytes.fromhex(wire)))

    assert (caught.value.code, caught.value.subcode) == (2, 0)
