"""From text to the model, or to every problem that the text has.

Whatever is wrong in one place is told together with what is wrong elsewhere: nobody has to mend a
configuration line by line against the daemon's restarts. Checks and wording are MetalLB 0.12's;
its restrictions of single modes (native, FRR) are not, because one engine serves both.
"""

from __future__ import annotations

from collections.abc import Mapping

from metallb_py.config.communities import AnyCommunity, parse_community
from metallb_py.config.compile.advertisements import Defined
from metallb_py.config.compile.bfd import compile_bfd_profiles
from metallb_py.config.compile.budget import Budget
from metallb_py.config.compile.peers import compile_peers, names_of
from metallb_py.config.compile.pools import compile_pools
from metallb_py.config.findings import Findings
from metallb_py.config.yaml.schema import Record, decode
from metallb_py.model.config import Community, Config


def read_config(text: str, first_line: int = 1, budget: Budget | None = None) -> Config:
    """Read a configuration. An empty text is an empty configuration.

    ``first_line`` is the number of the text's first line in the file that it came from; the
    problems' lines count from there. ``budget`` limits the work; there is a limit in any case.
    Raises ConfigError with every problem, in order of lines.
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
    # Where a name could not be read, nobody knows which are missing.
    peers = compile_peers(
        routers, None if _failed(record, "bfd-profiles", profiles) else known, findings
    )
    defined = Defined(
        _compile_communities(record, findings),
        None if _failed(record, "peers", routers) else names_of(routers),
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
            aliases[alias] = Community(0)  # known, so that its users are not told again
    return None if "bgp-communities" in record.failed else aliases
