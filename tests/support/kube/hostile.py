"""Generator of hostile input. Every choice comes from one seeded Random.

JSON that Python's encoder cannot write (nesting of thousands of levels, numbers out of range) is
put into objects as a marker, which ``encode`` replaces in the bytes.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random

from metallb_py.lab.apiserver.store import Json, Object

_MARKER = re.compile(r'"@(nest|wrap|raw):([^@"]*)@"')
PREFIXES = ("metallb.universe.tf/", "metallb.io/")
# Each annotation that a daemon reads, and some similar names.
ANNOTATIONS = (
    "loadBalancerIPs",
    "address-pool",
    "allow-shared-ip",
    "ip-allocated-from-pool",
    "interfaces",
    "last-good-config",
    "config-status",
    "draining-pools",
    "allow-shared",
    "load-balancer-ips",
)
# Kubernetes guarantees these fields, and the API server of a test needs them.
_GUARANTEED = {"metadata", "name", "namespace", "resourceVersion", "uid", "kind", "apiVersion"}


def encode(item: object) -> bytes:
    """Return an object as JSON, with its markers replaced."""

    def replace(match: re.Match[str]) -> str:
        kind, argument = match[1], match[2]
        match kind:
            case "nest":
                return "[" * int(argument) + "]" * int(argument)
            case "wrap":
                return '{"a":' * int(argument) + "1" + "}" * int(argument)
            case _:
                return argument

    return _MARKER.sub(replace, json.dumps(item)).encode()


def nested(depth: int) -> str:
    """Return a marker for ``depth`` nested arrays."""
    return f"@nest:{depth}@"


class HostileGenerator:
    """Generates texts, JSON values and mutated objects."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def text(self) -> str:
        """Return a text that is likely to break a parser."""
        random = self._random
        size = random.choice((1, 40, 980, 4_000))
        choices: tuple[Callable[[], str], ...] = (
            lambda: "",
            lambda: random.choice(("010.96.077.7", "10.0.0.256", "::ffff:1.2.3.4", "fe80::1%eth0")),
            lambda: random.choice(("0.0.0.0/0", "::/0", "10.0.0.9-10.0.0.1", "1-2-3", "224.0.0.1")),
            lambda: random.choice(("-1", "1e400", "NaN", "9" * 5_000, "0x10", "١٢٣", "1_0", " 7 ")),
            lambda: "[" * size,
            lambda: "[" * size + "]" * size,
            lambda: '{"a":' * size + "1" + "}" * size,
            lambda: "(" * size + ")" * size,
            lambda: "eth{99999999999}",
            lambda: "(?:(?:.|.)*)*X",
            lambda: "\x00\x1b[2J\x85\u202e\u2028\u2066\ufeff" * 3,
            lambda: "\ud800",
            lambda: "a" * random.choice((64, 257, 16_000)),
            lambda: ",".join(f"10.{n >> 8}.{n & 255}.1" for n in range(size)),
            lambda: random.choice(
                ("9999-99-99T99:99:99Z", "0000-00-00", "2026-11-28T00:00:00+99:00")
            ),
            lambda: json.dumps({"eth0": {"mac": "x", "subnets": ["1/2", "::/999"]}}),
            lambda: json.dumps([{"name": "a", "cidrs": [["a"]] * 50, "protocol": "layer2"}]),
        )
        return random.choice(choices)()

    def value(self) -> Json:
        """Return a JSON value of any type, or a marker for one."""
        random = self._random
        choices: tuple[Callable[[], Json], ...] = (
            self.text,
            self.text,
            lambda: nested(random.choice((100, 990, 1_500, 9_990))),
            lambda: f"@wrap:{random.choice((100, 990, 1_500))}@",
            lambda: f"@raw:{random.choice(('1e400', '-0', '1' * 400, '1.5', '-1', '65536'))}@",
            lambda: None,
            lambda: random.choice((True, False, 0, -1, 2**31, 2**63, 2**64, 1.5)),
            dict,
            list,
            lambda: {self.text(): self.text()},
            lambda: [self.text(), None, {}],
            lambda: [None],
        )
        return random.choice(choices)()

    def mutated(self, valid: Object) -> Object:
        """Return a copy of a valid object with one to three of its values replaced."""
        item = copy.deepcopy(valid)
        for _ in range(self._random.randint(1, 3)):
            self._random.choice((self._replace, self._replace, self._annotate, self._manage))(item)
        return item

    def _replace(self, item: Object) -> None:
        positions = [position for position in _positions(item) if position[1] not in _GUARANTEED]
        if positions:
            container, key = self._random.choice(positions)
            container[key] = self.value()  # type: ignore[index]

    def _annotate(self, item: Object) -> None:
        meta = item.setdefault("metadata", {})
        assert isinstance(meta, dict)
        annotations = meta.setdefault("annotations", {})
        if isinstance(annotations, dict):
            name = self._random.choice(PREFIXES) + self._random.choice(ANNOTATIONS)
            annotations[name] = self.text()

    def _manage(self, item: Object) -> None:
        meta = item["metadata"]
        assert isinstance(meta, dict)
        depth = self._random.choice((50, 960, 1_000, 1_485, 9_985))
        meta["managedFields"] = [{"manager": "x", "fieldsV1": nested(depth)}]


def _positions(value: Json) -> list[tuple[Object | list[Json], str | int]]:
    """Return the position of every value in a tree: its container, and the key or index."""
    found: list[tuple[Object | list[Json], str | int]] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, inner in entries:
        found.append((value, key))  # type: ignore[arg-type]
        if isinstance(inner, dict | list):
            found += _positions(inner)
    return found


GOOD_CONFIG = """\
peers:
- {my-asn: 64500, peer-asn: 64501, peer-address: 172.30.0.1}
address-pools:
- {name: wire, protocol: layer2, addresses: [172.30.0.200-172.30.0.219]}
- {name: routed, protocol: bgp, addresses: [198.51.100.0/24], auto-assign: false}
"""


def hostile_configs(hostile: HostileGenerator, random: Random) -> list[str]:
    """Return texts for the ConfigMap: fixed examples, and a valid one with a word replaced."""
    pool = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24], %s}]"
    texts = [
        pool % 'interfaces: ["eth{99999999999}"]',
        pool % f'interfaces: ["{"(" * 3_000}{")" * 3_000}"]',
        pool % 'interfaces: ["(?:(?:.|.)*)*X"]',
        "[" * 5_000,
        "a: &a [*a]",
        "&a [" + "&b [*a, *a, *a, *a, *a, *a, *a, *a]," * 12,
        "\n".join(
            f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 'lol'}]" for n in range(9)
        ),
        "address-pools:\n"
        + "".join(
            f"- {{name: p{n}, protocol: layer2, addresses: [10.{n >> 8}.{n & 255}.0/24]}}\n"
            for n in range(3_000)
        ),
        "address-pools:\n- name: c\n  protocol: bgp\n  addresses: [10.9.0.0/24]\n"
        "  bgp-advertisements:\n"
        + "".join(f"  - {{communities: [1:{n}, 2:{n}, 3:{n}]}}\n" for n in range(300)),
        "",
        "null",
        "7",
        "\x00",
        "peers: 7\naddress-pools: x",
    ]
    words = GOOD_CONFIG.split(" ")
    for _ in range(30):
        changed = list(words)
        changed[random.randrange(len(changed))] = hostile.text()
        texts.append(" ".join(changed))
    return texts
