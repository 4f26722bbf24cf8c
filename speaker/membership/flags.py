"""Flags and environment variables of speaker membership: MetalLB's, and ours."""

from __future__ import annotations

import argparse
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import assert_never

from metallb_py.protocols.memberlist.codec.keyring import KeyLength
from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.protocols.memberlist.settings import FAST, PORT, WAN
from metallb_py.runtime.flags import FlagParser, read_port
from speaker.membership import memberlist_json
from speaker.membership.settings import (
    LEASE_NAMESPACE,
    GossipSettings,
    LeaseSettings,
    MembershipSettings,
)

KEY_NAME = "secretkey"
"""The key in the Secret that MetalLB's controller creates, and so the name of the file."""


class Kind(StrEnum):
    """The values of ``--membership``."""

    MEMBERLIST = "memberlist"
    LEASE = "lease"
    NONE = "none"


def add(parser: FlagParser) -> None:
    """Add the flags. A secret is never printed, neither by --help nor in an error."""
    parser.flag(
        "membership",
        f"how to detect usable speakers: {', '.join(Kind)}; by default memberlist if ml-bindaddr"
        " and ml-labels are set, as in MetalLB, else none",
        read=_membership,
    )
    parser.flag(
        "lease-namespace",
        "namespace of the speakers' Leases, with membership=lease; not that of the daemons",
        default=LEASE_NAMESPACE,
    )
    parser.flag("ml-bindaddr", "bind address for memberlist", env="METALLB_ML_BIND_ADDR")
    parser.flag(
        "ml-bindport",
        f"port for memberlist, UDP and TCP; {PORT} by default",
        env="METALLB_ML_BIND_PORT",
        read=_bind_port,
    )
    parser.flag(
        "ml-secret-key",
        "secret from which memberlist's key is derived",
        env="METALLB_ML_SECRET_KEY",
    )
    parser.flag(
        "ml-secret-key-path",
        f"directory with a file {KEY_NAME}, in place of ml-secret-key",
        env="METALLB_ML_SECRET_KEY_PATH",
    )
    parser.flag(
        "ml-key-bytes",
        "bytes of the key that encrypts: 16 as in MetalLB up to 0.14.1, 32 as later; both decrypt",
        default="16",
        read=_key_bytes,
    )
    parser.flag("ml-label", "label of memberlist's packets; MetalLB sets none")
    parser.switch("ml-wan-config", "memberlist's preset for wide area networks, as in MetalLB")


def membership_settings(args: argparse.Namespace) -> MembershipSettings:
    """Return the settings of the chosen kind of membership. Raises ValueError, StartupError."""
    possible = bool(args.ml_bindaddr and args.ml_labels)
    kind: Kind = args.membership or (Kind.MEMBERLIST if possible else Kind.NONE)
    match kind:
        case Kind.MEMBERLIST:
            return _gossip(args)
        case Kind.LEASE:
            return LeaseSettings(args.lease_namespace)
        case Kind.NONE:
            return None
        case _:
            assert_never(kind)


def _gossip(args: argparse.Namespace) -> GossipSettings:
    try:
        address = ip_address(args.ml_bindaddr)
    except ValueError:
        raise ValueError(f'--ml-bindaddr: "{args.ml_bindaddr}": want an IP address') from None
    if address.is_unspecified:
        raise ValueError(f'--ml-bindaddr: "{address}": want the address that others reach it by')
    secret = args.ml_secret_key.encode()
    if args.ml_secret_key_path:
        secret = _read_secret(Path(args.ml_secret_key_path) / KEY_NAME)
    settings = memberlist_json.read(memberlist_json.PATH) or (WAN if args.ml_wan_config else FAST)
    bind = Endpoint(address, args.ml_bindport)
    return GossipSettings(bind, secret, args.ml_key_bytes, args.ml_label, settings)


def _read_secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"--ml-secret-key-path: {path}: {error.strerror}") from None


def _membership(text: str) -> Kind | None:
    if text and text not in tuple(Kind):
        raise argparse.ArgumentTypeError(f'"{text}": want one of {", ".join(Kind)}')
    return Kind(text) if text else None


def _bind_port(text: str) -> int:
    port = read_port(text) if text else PORT
    if not port:
        raise argparse.ArgumentTypeError('"0": want a port from 1 to 65535')
    return port


def _key_bytes(text: str) -> KeyLength:
    match text:
        case "16":
            return 16
        case "32":
            return 32
    raise argparse.ArgumentTypeError(f'"{text}": want 16 or 32')
