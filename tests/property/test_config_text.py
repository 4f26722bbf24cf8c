"""Any configuration text compiles to a model or raises the one documented error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from metallb_py.addresses import parse_range
from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.config.yaml import document
from metallb_py.config.yaml.schema import SCHEMA
from metallb_py.model.config import Config

SAMPLES = [
    item["data"]["config"]
    for path in sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
    for item in yaml.safe_load_all(path.read_text())
    if item["kind"] == "ConfigMap"
]
KEYS = sorted({key for fields in SCHEMA.values() for key in fields})
WORDS = ["layer2", "bgp", "10.0.0.0/24", "10.0.0.1-10.0.0.9", "fd00::/64", "64512:1", "90s", "In",
         "10.0.0.1", "fe80::1", "eth0", "igp", "external", "ipv4", "1:2:3", "large:1:2:3",
         "no-export", "0.0.0.0/0", "::/0", "0.0.0.0-255.255.255.255", "224.0.0.1", "ff02::1",
         "1.10", "eth{99999999999}", "(?:(?:.|.)*)*X", "(?=x)", "\\1", "1e999"]  # fmt: skip
SECRET = "hunter2"

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text()
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
peers = st.dictionaries(st.sampled_from(sorted(SCHEMA["peer"])) | st.text(max_size=5), leaves)


def read(text: str) -> Config | tuple[Problem, ...]:
    try:
        return read_config(text)
    except ConfigError as error:
        return error.problems


def check_read(text: str) -> None:
    found = read(text)
    if isinstance(found, Config):
        return
    assert found
    for problem in found:
        assert problem.line >= 1
        assert problem.message
        assert str(problem).isprintable()


@given(st.text())
@example("a: !!int x")
@example("? ")
@example("%YAML 9")
@example("\ufeff")
@example("!<tag:yaml.org,2002:binary> x")
@example("- " * 5000)
@example("a: &a [*a]")
@example("peers: [{my-asn: !!float .inf}]")
def test_any_text_compiles_or_raises_config_error(text: str) -> None:
    check_read(text)


@given(st.binary())
def test_any_latin_1_bytes_compile_or_raise_config_error(data: bytes) -> None:
    check_read(data.decode("latin-1"))


@given(trees, st.sampled_from([True, False, None]))
def test_any_yaml_tree_compiles_or_raises_config_error(tree: object, flow: bool | None) -> None:
    check_read(yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow))


@given(st.sampled_from(SAMPLES), st.data())
def test_mutated_samples_compile_or_raise_config_error(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.text(max_size=6)) + text[end:]
    check_read(text)


@given(
    st.lists(peers, max_size=3),
    peers,
    st.sampled_from([SECRET, [SECRET], {SECRET: 1}, f"'{SECRET}", f"{SECRET}: *x", f"@{SECRET}\n"]),
    st.sampled_from([True, False, None]),
)
def test_password_is_never_shown(
    others: list[dict[str, object]], peer: dict[str, object], password: object, flow: bool | None
) -> None:
    tree = {"peers": [*others, peer | {"password": password}]}
    found = read(yaml.safe_dump(tree, default_flow_style=flow))
    assert SECRET not in repr(found)
    assert isinstance(found, Config) or SECRET not in " ".join(map(str, found))


# Unquoted or malformed forms of the value, and the rest of the line.
SLIPS = [": {}", ":{}", " {}", ": *{}", ": &{} x", ": !{} x", ": @{}", ": %{}", ": '{}", ': "\\{}',
         ": a,{}", ": a,{}: b", ": a: {}", ": [{}", ": {{{}: x}}", ": !!int {}", ": !!binary {}",
         ":\n  {}", ": |{}", ": >\n{}", ": `{}"]  # fmt: skip


@given(
    st.sampled_from(
        [
            frame.replace("KEY", key)
            for frame in ("peers:\n- KEY{}\n  my-asn: 1\n", "peers: [{{my-asn: 1, KEY{}}}]")
            for key in ("password", "password-secret")
        ]
    ),
    st.sampled_from(SLIPS),
    st.sampled_from(["CSafeLoader", "SafeLoader"]),
)
def test_password_is_never_shown_in_malformed_yaml(frame: str, slip: str, loader: str) -> None:
    with loading_by(loader):
        found = read(frame.format(slip.format(SECRET)))
    assert SECRET not in repr(found)
    assert isinstance(found, Config) or "h'" not in " ".join(map(str, found))


@given(trees, st.sampled_from([True, False, None]))
def test_results_are_the_same_with_and_without_libyaml(tree: object, flow: bool | None) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow)
    with loading_by("SafeLoader"):
        pure_python = read(text)
    assert pure_python == read(text)


@contextmanager
def loading_by(name: str) -> Iterator[None]:
    """Parse with the given loader of PyYAML."""
    usual = document._Loader
    document._Loader = getattr(yaml, name)
    try:
        yield
    finally:
        document._Loader = usual


def minimal_cover(first: int, last: int, bits: int) -> list[tuple[int, int]]:
    """Cover a range from the root of the prefix tree: take a whole prefix, or descend."""
    found: list[tuple[int, int]] = []
    pending = [(0, 0)]
    while pending:
        start, length = pending.pop()
        end = start + (1 << bits - length) - 1
        if first <= start and end <= last:
            found.append((start, length))
        elif start <= last and first <= end:
            half = 1 << bits - length - 1
            pending += [(start + half, length + 1), (start, length + 1)]
    return found


@given(st.sampled_from([32, 128]), st.data())
def test_range_is_covered_by_the_minimal_set_of_prefixes(bits: int, data: st.DataObject) -> None:
    lowest = 0 if bits == 32 else 2**48  # below are IPv4-mapped addresses, which are IPv4 addresses
    first = data.draw(st.integers(lowest, 2**bits - 1))
    last = data.draw(st.integers(first, 2**bits - 1))
    kind = IPv4Address if bits == 32 else IPv6Address
    cover = minimal_cover(first, last, bits)
    expected = [ip_network((kind(start), length)) for start, length in cover]
    assert list(parse_range(f"{kind(first)}-{kind(last)}")) == expected
