"""The controller's command line: MetalLB's flags and environment."""

from __future__ import annotations

import argparse

from controller.options import Options
from controller.orphans import OrphanPolicy
from metallb_py.runtime.flags import FlagParser, common_options

PROG = "metallb-controller"


def parse(argv: list[str] | None = None) -> Options:
    """Read the flags; end the process with usage and status 2 where they are wrong."""
    parser = FlagParser(PROG, "Gives addresses to Kubernetes Services of type LoadBalancer.")
    parser.flag("lb-class", "serve only services with this spec.loadBalancerClass")
    parser.flag(
        "orphaned-addresses",
        "of services whose pool is removed: drain (they keep them), refuse (the configuration "
        "waits), renumber",
        default=OrphanPolicy.DRAIN,
        read=_policy,
    )
    parser.flag("ml-secret-name", "accepted for MetalLB's manifests", env="METALLB_ML_SECRET_NAME")
    parser.flag("deployment", "accepted for MetalLB's manifests", env="METALLB_DEPLOYMENT")
    parser.switch("disable-epslices", "accepted for MetalLB's manifests")
    args = parser.parse(argv)
    common = common_options(args)
    if not common.namespace:
        parser.fail("--namespace: not set, and this is no pod: want the ConfigMap's namespace")
    return Options(common, args.lb_class, args.orphaned_addresses)


def _policy(text: str) -> OrphanPolicy:
    try:
        return OrphanPolicy(text)
    except ValueError:
        wanted = ", ".join(OrphanPolicy)
        raise argparse.ArgumentTypeError(f'"{text}": want one of {wanted}') from None
