"""Peer options beyond MetalLB 0.12's keys: meaning, and rejected values."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from support.kube.config_text import PEER, problems

from metallb_py.addresses import AddressFamily
from metallb_py.config.compile.read_config import read_config
from metallb_py.model.peers import (
    BOTH_FAMILIES,
    DynamicAsn,
    Origin,
    Peer,
    SecretKey,
    SessionParameters,
)

ASNS_ONLY = "my-asn: 1, peer-asn: 2"


def peer(text: str) -> Peer:
    (found,) = read_config(f"peers: [{{{text}}}]").peers
    return found


def test_absent_peer_options_have_metallbs_defaults() -> None:
    plain = peer(PEER)
    assert plain == Peer(SessionParameters(1, 2, ip_address("10.0.0.1")))
    nothing = "name: , interface: ~, dynamic-asn: , local-asn: 0, origin: , passive: no, "
    nothing += "ttl-security: , connect-time: , graceful-restart: n, password-secret: , "
    assert peer(f"{PEER}, {nothing} address-families: , next-hop: ") == plain
    session = plain.session
    assert (session.origin, session.address_families) == (Origin.INCOMPLETE, BOTH_FAMILIES)


def test_every_peer_option_is_read() -> None:
    found = peer(
        f"{PEER}, name: tor, local-asn: 65000, origin: igp, passive: yes, ttl-security: 2, "
        "connect-time: 1m, graceful-restart: true, password-secret: {name: bgp.tor, key: md5}, "
        "address-families: [ipv6], next-hop: [10.0.0.9, 'fd00::9']"
    )
    assert found.name == "tor"
    assert found.password_secret == SecretKey("bgp.tor", "md5")
    session = found.session
    assert (session.local_asn, session.origin) == (65000, Origin.IGP)
    assert (session.passive, session.graceful_restart) == (True, True)
    assert (session.ttl_security, session.connect_time) == (2, 60)
    assert session.address_families == {AddressFamily.IPV6}
    assert session.next_hops == (ip_address("10.0.0.9"), ip_address("fd00::9"))


@pytest.mark.parametrize("origin", Origin)
def test_origin_is_read(origin: Origin) -> None:
    assert peer(f"{PEER}, origin: {origin}").session.origin is origin


@pytest.mark.parametrize(("written", "seconds"), [("1s", 1), ("1500ms", 1), ("65535s", 65535)])
def test_connect_time_is_truncated_to_whole_seconds(written: str, seconds: int) -> None:
    assert peer(f"{PEER}, connect-time: {written}").session.connect_time == seconds


def test_password_secret_key_defaults_to_password() -> None:
    found = peer(f"{PEER}, password-secret: {{name: tor}}")
    assert found.password_secret == SecretKey("tor", "password")


def test_next_hop_may_be_a_single_value() -> None:
    assert peer(f"{PEER}, next-hop: 10.0.0.9").session.next_hops == (ip_address("10.0.0.9"),)


def test_unnumbered_peer_has_an_interface_and_a_dynamic_asn() -> None:
    found = peer("my-asn: 1, dynamic-asn: external, interface: eth0.7").session
    assert (found.address, found.interface) == (None, "eth0.7")
    assert (found.peer_asn, found.dynamic_asn) == (0, DynamicAsn.EXTERNAL)


def test_link_local_peer_has_an_interface() -> None:
    found = peer(f"{ASNS_ONLY}, peer-address: 'fe80::1', interface: eth0").session
    assert (found.address, found.interface) == (ip_address("fe80::1"), "eth0")


def test_link_local_peer_without_interface_is_valid_as_in_metallb() -> None:
    assert peer(f"{ASNS_ONLY}, peer-address: 'fe80::1'").session.interface == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{PEER}, name: 10.0.0.2", 'invalid name "10.0.0.2": want one that is no address'),
        (f"{PEER}, name: '::1'", 'invalid name "::1"'),
        (f"{PEER}, interface: eth0", 'peer-address "10.0.0.1" needs none: want a link-'),
        (f"{ASNS_ONLY}, interface: eth 0", 'invalid interface "eth 0": want the name of one'),
        (f"{ASNS_ONLY}, interface: ..", 'invalid interface "..": want the name of one'),
        (f"{ASNS_ONLY}, interface: {'x' * 16}", "want the name of one"),
        (f"{PEER}, dynamic-asn: internal", "contradicts peer-asn 2: want one of them"),
        (
            "my-asn: 1, peer-address: 10.0.0.1, dynamic-asn: any",
            'invalid dynamic ASN "any": want one of "internal", "external"',
        ),
        (
            "my-asn: 1, peer-address: 10.0.0.1, dynamic-asn: internal, ebgp-multihop: true",
            "invalid ebgp-multihop parameter set for an ibgp peer",
        ),
        (f"{PEER}, local-asn: 2", "invalid local-asn 2 set for an ibgp peer"),
        (
            "my-asn: 1, peer-asn: 1, peer-address: 10.0.0.1, local-asn: 3",
            "invalid local-asn 3 set for an ibgp peer",
        ),
        (
            "my-asn: 1, dynamic-asn: internal, peer-address: 10.0.0.1, local-asn: 3",
            "invalid local-asn 3 set for an ibgp peer",
        ),
        (f"{PEER}, local-asn: 4294967296", "into uint32"),
        (f"{PEER}, origin: IGP", 'invalid origin "IGP": want one of "igp", "egp", "incomplete"'),
        (f"{PEER}, passive: maybe", "into bool"),
        (f"{PEER}, ttl-security: 0", "invalid ttl-security 0: want 1 to 254 hops"),
        (f"{PEER}, ttl-security: 255", "invalid ttl-security 255: want 1 to 254 hops"),
        (f"{PEER}, ttl-security: true", "into uint32"),
        (f"{PEER}, ttl-security: 1, ebgp-multihop: true", "contradicts ebgp-multihop"),
        (f"{PEER}, connect-time: 999ms", 'invalid connect time "999ms": want 1s to 65535s'),
        (f"{PEER}, connect-time: 65536s", 'invalid connect time "65536s": want 1s to 65535s'),
        (f"{PEER}, connect-time: 5", 'invalid connect time "5": time: missing unit'),
        (f"{PEER}, password-secret: {{}}", "invalid name of a Secret in password-secret"),
        (f"{PEER}, password-secret: {{name: A}}", "invalid name of a Secret in password-secret"),
        (f"{PEER}, password-secret: {{name: a, key: a/b}}", "invalid key in password-secret"),
        (f"{PEER}, password: x, password-secret: {{name: a}}", "contradicts password: want one"),
        (f"{PEER}, address-families: []", 'no address family: want "ipv4" and "ipv6"'),
        (f"{PEER}, address-families: [ipv5]", 'invalid address family "ipv5": want "ipv4"'),
        (f"{PEER}, address-families: [ipv4, ipv4]", 'duplicate definition of address family "ipv4'),
        (f"{PEER}, address-families: ipv4", "into []string"),
        (f"{PEER}, next-hop: router", 'invalid next hop "router": want the address'),
        (f"{PEER}, next-hop: 0.0.0.0", 'invalid next hop "0.0.0.0"'),
        (f"{PEER}, next-hop: 'ff02::1'", 'invalid next hop "ff02::1"'),
        (f"{PEER}, next-hop: [10.0.0.1, 10.0.0.2]", 'second next hop of IPv4 "10.0.0.2"'),
    ],
)
def test_invalid_peer_option_is_reported_with_its_line(text: str, expected: str) -> None:
    ((line, path, message),) = problems(f"peers:\n- {{{text}}}\n")
    assert expected in message
    assert line == 2
    assert path.startswith("peers[0]")


def test_bfd_profile_of_an_unnumbered_peer_is_rejected() -> None:
    text = f"bfd-profiles: [{{name: b}}]\npeers: [{{{ASNS_ONLY}, interface: eth0, bfd-profile: b}}]"
    ((_, path, message),) = problems(text)
    assert path.endswith(".bfd-profile")
    assert "contradicts interface" in message


def test_password_written_as_a_secret_name_is_not_printed() -> None:
    found = problems(f"peers: [{{{PEER}, password-secret: {{name: Hunter2, key: Hunter/2}}}}]")
    assert len(found) == 2
    assert "Hunter" not in str(found)
