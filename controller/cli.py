"""The controller's command line: MetalLB's flags and environment."""

from __future__ import annotations

import argparse

from controller.options import Options
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.runtime.flags import FlagParser, common_options, read_port

PROG = "metallb-controller"


def parse(argv: list[str] | None = None) -> Options:
    """Parse the flags; if they are wrong, print usage and exit with status 2."""
    parser = FlagParser(PROG, "Assigns addresses to Kubernetes Services of type LoadBalancer.")
    parser.flag("lb-class", "serve only services with this spec.loadBalancerClass")
    parser.flag(
        "orphaned-addresses",
        "policy for addresses in use whose pool is removed: drain (services keep them), refuse "
        "(the configuration waits), renumber (services get others)",
        default=OrphanPolicy.DRAIN,
        read=_policy,
    )
    parser.flag(
        "webhook-port", "port of the validating webhook; 0 for none", default="0", read=read_port
    )
    parser.flag(
        "webhook-hosts",
        "names and addresses at which the API server calls the webhook, separated by commas; "
        "webhook-service.NAMESPACE.svc by default",
    )
    parser.flag(
        "webhook-configuration",
        "name of the ValidatingWebhookConfiguration in which to publish the webhook's authority",
        default="metallb-webhook-configuration",
    )
    parser.flag(
        "webhook-client-ca",
        "PEM file with the authority of the API server's client certificate; callers without such "
        "a certificate get no effects on services in the answer",
    )
    parser.flag(
        "webhook-client-names",
        "accepted common names of that certificate, separated by commas; all that the authority "
        "signed by default",
    )
    parser.switch("leader-elect", "work only while holding a Lease, as one of several replicas")
    parser.flag(
        "leader-elect-lease-duration",
        "whole seconds without a renewal after which another replica takes over",
        default="2s",
        read=_lease_duration,
    )
    parser.flag(
        "ml-secret-name",
        "name of the Secret to create for the speakers' memberlist; none by default",
        env="METALLB_ML_SECRET_NAME",
    )
    parser.flag(
        "deployment",
        "name of the controller's Deployment, which will own that Secret",
        env="METALLB_DEPLOYMENT",
    )
    parser.switch("disable-epslices", "accepted for MetalLB's manifests")
    args = parser.parse(argv)
    common = common_options(args)
    if not common.namespace:
        parser.fail("--namespace: not set, and this is no pod: want the ConfigMap's namespace")
    hosts = args.webhook_hosts or f"webhook-service.{common.namespace}.svc"
    return Options(
        common=common,
        load_balancer_class=args.lb_class,
        orphaned_addresses=args.orphaned_addresses,
        webhook_port=args.webhook_port,
        webhook_hosts=tuple(hosts.split(",")),
        webhook_configuration=args.webhook_configuration,
        webhook_client_ca=args.webhook_client_ca,
        webhook_client_names=frozenset(filter(None, args.webhook_client_names.split(","))),
        lease_seconds=args.leader_elect_lease_duration if args.leader_elect else 0,
        memberlist_secret=args.ml_secret_name,
        deployment=args.deployment,
    )


def _lease_duration(text: str) -> int:
    number = text.removesuffix("s")
    if not number.isdecimal() or not 0 < int(number) <= 3600:
        raise argparse.ArgumentTypeError(f'"{text}": want whole seconds from 1s to 3600s')
    return int(number)


def _policy(text: str) -> OrphanPolicy:
    try:
        return OrphanPolicy(text)
    except ValueError:
        wanted = ", ".join(OrphanPolicy)
        raise argparse.ArgumentTypeError(f'"{text}": want one of {wanted}') from None
