"""Check of the speaker's node name against the Node objects; short: one check and its message."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_SHOWN = 3


def node_name_problem(name: str, nodes: Collection[str]) -> str:
    """Return why no Node has this name, with close matches; empty if one has it.

    Node names are often host names: a different case or a missing domain is the usual mistake.
    """
    if name in nodes:
        return ""
    short = name.casefold().partition(".")[0]
    same_host = sorted(node for node in nodes if node.casefold().partition(".")[0] == short)
    close = same_host or get_close_matches(name, sorted(nodes), _SHOWN)
    if close:
        hint = "did you mean " + " or ".join(f'"{node}"' for node in close[:_SHOWN]) + "?"
    else:
        shown = ", ".join(f'"{node}"' for node in sorted(nodes)[:_SHOWN]) or "none"
        hint = f"there are {len(nodes)}: {shown}" + (" ..." if len(nodes) > _SHOWN else "")
    return (
        f'no Node has the name "{name}" (--node-name, METALLB_NODE_NAME): nothing is announced in '
        f"layer 2, and no node selector matches; want the name of this host's Node: {hint}"
    )
