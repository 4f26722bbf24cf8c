"""What the controller can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from controller.orphaned_addresses import OrphanPolicy
from metallb_py.runtime.flags import CommonOptions


@dataclass(frozen=True, slots=True)
class Options:
    """What the controller was asked for.

    A ``webhook_port`` of 0 means: no webhook; ``lease_seconds`` of 0: this is the only controller;
    an empty ``memberlist_secret``: somebody else makes it; an empty ``webhook_client_ca``: the API
    server shows the webhook no client certificate.
    """

    common: CommonOptions
    load_balancer_class: str
    orphaned_addresses: OrphanPolicy = OrphanPolicy.DRAIN
    webhook_port: int = 0
    webhook_hosts: tuple[str, ...] = ()
    webhook_configuration: str = ""
    webhook_client_ca: str = ""
    webhook_client_names: frozenset[str] = frozenset()
    lease_seconds: int = 0
    memberlist_secret: str = ""
    deployment: str = ""
