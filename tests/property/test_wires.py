"""Interfaces in gossip metadata: any bytes decode to interfaces or to None."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from speaker.layer2.topology import MAC_BYTES, MAGIC, MAX_META, NodeInterface, pack, unpack

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
NAMES = st.sampled_from(["eth0", "eth1"]) | st.text(max_size=20)
MACS = st.binary(min_size=MAC_BYTES, max_size=MAC_BYTES) | st.binary(max_size=21)
SUBNETS = st.binary(min_size=5, max_size=5) | st.binary(min_size=17, max_size=17) | st.binary()
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16) | st.binary()
ALMOST = (
    st.lists(
        st.tuples(NAMES, MACS, st.lists(SUBNETS, max_size=3))
        | st.tuples(NAMES, MACS, st.lists(SUBNETS, max_size=3), st.lists(ADDRESSES, max_size=3))
        | ANYTHING,
        max_size=4,
    )
    | ANYTHING
)


def depths(head: bytes) -> bytes:
    return MAGIC + head * 480 + b"\x90"


@given(
    ALMOST.map(lambda value: MAGIC + msgspec.msgpack.encode(value))
    | st.binary(max_size=MAX_META).map(lambda data: MAGIC + data)
    | st.binary(max_size=MAX_META)
)
@example(depths(b"\x91"))
@example(depths(b"\x81\xa0"))
@example(depths(b"\x91\x93\xa1e\xc4\x00"))
@example(MAGIC + b"\xdd\xff\xff\xff\xff")
@example(MAGIC + b"\x91\x93\xdb\xff\xff\xff\xff")
@example(MAGIC + b"\x91\x93\xa4eth0\xc4\x06123456\x91\xc4\x05\x21\x0a\x00\x00\x00")
def test_any_gossip_metadata_decodes_to_interfaces_or_none(meta: bytes) -> None:
    found = unpack(meta)
    if found is None:
        return
    for interface in found:
        assert isinstance(interface, NodeInterface)
        assert 0 < len(interface.name.encode()) < 16
        assert interface.name.isprintable()
        assert len(bytes.fromhex(interface.mac.replace(":", ""))) == MAC_BYTES
        assert all(isinstance(net, IPv4Network | IPv6Network) for net in interface.subnets)
        assert all(isinstance(own, IPv4Address | IPv6Address) for own in interface.addresses)
    assert len({interface.name for interface in found}) == len(found)
    if found and (again := pack(found)):
        assert unpack(again) == found
