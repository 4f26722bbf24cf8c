"""Command line of the speaker: MetalLB's flags and environment variables, and more flags."""

from __future__ import annotations

import argparse
import os
import re

from metallb_py.addresses import parse_address
from metallb_py.errors import StartupError
from metallb_py.model.patterns import WANTED, PatternError, compile_pattern
from metallb_py.runtime.flags import FlagParser, common_options, read_port
from speaker.bgp.peering import ListenAt
from speaker.bgp.shutdown import DRAIN_TIME, OnStop
from speaker.layer2.candidates import EXCLUDE_LABEL, SPEAKER_LABELS, Rules
from speaker.membership import flags
from speaker.membership.settings import LeaseSettings, MembershipSettings
from speaker.options import Options
from speaker.responder.links import EXCLUDED
from speaker.responder.settings import Settings

PROG = "metallb-speaker"
BGP_TYPES = ("native", "frr")


def parse(argv: list[str] | None = None) -> Options:
    """Parse the flags; exit with usage and status 2 where one is invalid."""
    parser = FlagParser(PROG, "Makes the addresses of Kubernetes Services reachable from a node.")
    parser.flag(
        "node-name", "name of the Node object this speaker runs on", env="METALLB_NODE_NAME"
    )
    parser.flag("lb-class", "announce only services with this spec.loadBalancerClass")
    parser.switch("disable-epslices", "read Endpoints, not EndpointSlices")
    parser.flag("ml-labels", "labels of the speakers' pods", env="METALLB_ML_LABELS")
    flags.add(parser)
    parser.flag(
        "l2-exclude-interfaces",
        "regular expressions, separated by spaces: an interface whose name matches one of them"
        f' does not answer on layer 2; by default "{" ".join(EXCLUDED)}"',
        default=" ".join(EXCLUDED),
        read=_patterns,
    )
    parser.flag(
        "l2-announce-interval",
        "seconds after which each layer 2 address is announced again; 0, the default: only after"
        " a takeover",
        default="0",
        read=_interval,
    )
    parser.switch(
        "l2-any-interface",
        "as MetalLB: on layer 2 every node and interface may answer for every address, whether or"
        " not it is on the address's subnet",
    )
    parser.switch(
        "ignore-exclude-lb",
        f"announce from nodes with the label {EXCLUDE_LABEL}, too, on layer 2 and over BGP",
    )
    parser.switch(
        "drain-on-cordon",
        "move the layer 2 addresses of cordoned nodes to nodes that are not cordoned",
    )
    parser.flag(
        "on-stop",
        "how BGP sessions end on termination: restart (peers that negotiated graceful restart"
        " retain the routes), drain (GRACEFUL_SHUTDOWN, withdrawal, Cease), or auto, the default:"
        " drain where the node is cordoned, excluded or shutting down, else restart",
        default=OnStop.AUTO.value,
        read=_on_stop,
    )
    parser.flag(
        "drain-time",
        "seconds between GRACEFUL_SHUTDOWN and the withdrawal of routes",
        default=f"{DRAIN_TIME:g}",
        read=_seconds,
    )
    parser.flag(
        "bgp-listen",
        'port, or address and port, on which to accept BGP connections, as in "179",'
        ' "10.0.0.1:179" or "[fd00::1]:179"; by default none is accepted',
        read=_listen_at,
    )
    args = parser.parse(argv)
    common = common_options(args)
    bgp_type = os.environ.get("METALLB_BGP_TYPE", BGP_TYPES[0])
    if bgp_type not in BGP_TYPES:
        parser.fail(f'METALLB_BGP_TYPE: "{bgp_type}": want one of {", ".join(BGP_TYPES)}')
    if not args.node_name:
        parser.fail("--node-name: not set: want the name of this node's Node object")
    if not common.namespace:
        parser.fail("--namespace: not set, and this is no pod: want the ConfigMap's namespace")
    membership = _membership(parser, args)
    if isinstance(membership, LeaseSettings) and membership.namespace == common.namespace:
        found = f'--lease-namespace: "{membership.namespace}"'
        parser.fail(
            f"{found} holds the controller's Lease: want another namespace, so that no speaker can"
            " write that Lease"
        )
    return Options(
        common=common,
        node_name=args.node_name,
        load_balancer_class=args.lb_class,
        speaker_labels=args.ml_labels or SPEAKER_LABELS,
        disable_endpoint_slices=args.disable_epslices,
        layer2=Settings(
            args.l2_exclude_interfaces, args.l2_announce_interval, args.l2_any_interface
        ),
        membership=membership,
        rules=Rules(args.ignore_exclude_lb, args.drain_on_cordon),
        on_stop=args.on_stop,
        drain_time=args.drain_time,
        bgp_listen=args.bgp_listen,
    )


def _membership(parser: FlagParser, args: argparse.Namespace) -> MembershipSettings:
    try:
        return flags.membership_settings(args)
    except (ValueError, StartupError) as error:
        parser.fail(str(error))
        raise


def _interval(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text) or 0 < float(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}": want 0, or seconds from 1')
    return float(text)


def _listen_at(text: str) -> ListenAt | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        address = parse_address(host.removeprefix("[").removesuffix("]")) if host else None
        return ListenAt(address, read_port(port))
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise argparse.ArgumentTypeError(
            f'"{text}": want a port, or an address and a port as in "10.0.0.1:179"'
        ) from error


def _on_stop(text: str) -> OnStop:
    try:
        return OnStop(text)
    except ValueError as error:
        wanted = ", ".join(OnStop)
        raise argparse.ArgumentTypeError(f'"{text}": want one of {wanted}') from error


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f'"{text}": want seconds from 0 to 9999')
    return float(text)


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(text.split())
    for pattern in patterns:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            raise argparse.ArgumentTypeError(f'"{pattern}": {error}: {WANTED}') from error
    return patterns
