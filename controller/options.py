"""The controller's options; apart from ``cli``, which parses them, as ``app`` stands below it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.orphaned_addresses import OrphanPolicy
from metallb_py.runtime.flags import CommonOptions


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one controller process."""

    common: CommonOptions
    load_balancer_class: str
    """The ``spec.loadBalancerClass`` of the services to serve; empty: those that have none."""
    orphaned_addresses: OrphanPolicy = OrphanPolicy.DRAIN
    """Policy for addresses in use whose pool a new configuration removes."""
    webhook_port: int = 0
    """TCP port of the webhook; 0: no webhook."""
    webhook_hosts: tuple[str, ...] = ()
    """Names and addresses in the webhook's certificate; at least one if there is a webhook."""
    webhook_configuration: str = ""
    """Name of the ValidatingWebhookConfiguration in which the webhook's authority is published."""
    webhook_client_ca: str = ""
    """Path of the PEM file with the authority of the API server's client certificate; empty: the
    API server presents no client certificate."""
    webhook_client_names: frozenset[str] = frozenset()
    """Accepted common names of that certificate; empty: all."""
    lease_seconds: int = 0
    """Duration of the leader's Lease in whole seconds; 0: this is the only controller."""
    memberlist_secret: str = ""
    """Name of the Secret to create for the speakers' memberlist; empty: it is not created here."""
    deployment: str = ""
    """Name of the controller's Deployment, the owner of that Secret."""
