"""Entry point of the compiler: text in, the model or every problem of the text out.

All problems are reported at once, so that a configuration need not be corrected one line at a time.
Checks and wording are MetalLB 0.12's, without its restrictions of one mode (native or FRR),
because one BGP engine supports the features of both.
"""

from __future__ import annotations

from collections.abc import Mapping

from metallb_py.config.communities import AnyCommunity, parse_community
from metallb_py.config.compile.advertisements import Defined
from metallb_py.config.compile.peers import compile_bfd_profiles, compile_peers, peer_names
from metallb_py.config.compile.pools import compile_pools
from metallb_py.config.problems import Budget, Findings
from metallb_py.config.yaml.schema import Record, decode
from metallb_py.model.config import Config
from metallb_py.model.route_attributes import Community


def read_config(text: str, first_line: int = 1, budget: Budget | None = None) -> Config:
    """Read a configuration. The empty text is the empty configuration.

    ``first_line`` is the line number of the text's first line in its file, from which the problems'
    lines are counted. ``budget`` limits the work; without it, a default one does.
    Raises ConfigError with every problem, ordered by line.
    """
    findings = Findings(budget or Budget())
    config = _compile(decode(text, findings, first_line), findings)
    findings.raise_if_any()
    return config


def _compile(record: Record, findings: Findings) -> Config:
    profiles = record.record_lists.get("bfd-profiles", [])
    known = {profile.string("name") for profile in profiles}
    bfd_profiles = compile_bfd_profiles(profiles, findings)
    routers = record.record_lists.get("peers", [])
    # If a name could not be read, a reference to a missing one may be valid, and is not reported.
    peers = compile_peers(
        routers, None if _failed(record, "bfd-profiles", profiles) else known, findings
    )
    defined = Defined(
        _compile_communities(record, findings),
        None if _failed(record, "peers", routers) else peer_names(routers),
    )
    pools = compile_pools(record.record_lists.get("address-pools", []), defined, findings)
    return Config(pools, peers, bfd_profiles)


def _failed(record: Record, key: str, items: list[Record]) -> bool:
    names = {"name", "peer-address"}
    return key in record.failed or any(names & item.failed for item in items)


def _compile_communities(record: Record, findings: Findings) -> Mapping[str, AnyCommunity] | None:
    aliases: dict[str, AnyCommunity] = {}
    for alias, text in record.string_maps.get("bgp-communities", {}).items():
        try:
            aliases[alias] = parse_community(text.value)
        except ValueError as error:
            findings.add(text.line, text.path, f'parsing community "{alias}": {error}')
            aliases[alias] = Community(0)  # so that references to it are no further problems
    return None if "bgp-communities" in record.failed else aliases
