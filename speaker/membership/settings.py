"""How the speakers find out who of them is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from metallb_py.protocols.memberlist.codec.keyring import KeyLength
from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.protocols.memberlist.settings import FAST, Settings

LEASE_NAMESPACE = "metallb-speaker-leases"
"""Of the speakers' Leases: not that of the controller's, which no speaker may write."""


class Kind(StrEnum):
    """The values of ``--membership``."""

    MEMBERLIST = "memberlist"
    LEASE = "lease"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """What a member of the gossip cluster is made of. Without a ``secret`` nothing is encrypted.

    ``key_bytes`` of the secret encrypt: 16 as in MetalLB up to 0.14.1, or 32 as later.
    """

    bind: Endpoint
    secret: bytes = field(default=b"", repr=False)
    key_bytes: KeyLength = 16
    label: str = ""
    settings: Settings = FAST
