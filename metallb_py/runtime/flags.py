"""Command-line flags as Go's flag package reads them, which is what MetalLB's manifests use.

``-x`` and ``--x`` mean the same, values follow after ``=`` or a space, an unknown flag is an
error with exit status 2. An environment variable supplies a default; the flag wins.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metallb_py.runtime.log import LEVEL_NAMES, Level

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """What both daemons take. ``host`` is empty for all addresses."""

    host: str
    port: int
    config: str
    namespace: str
    kubeconfig: str
    log_level: Level


class FlagParser:
    """A parser with the flags that both daemons have."""

    def __init__(self, prog: str, description: str) -> None:
        self._parser = argparse.ArgumentParser(prog, description=description, allow_abbrev=False)
        self.flag("port", "HTTP port of the metrics page", default="7472", read=read_port)
        self.flag("host", "address of the metrics page; all by default", env="METALLB_HOST")
        self.flag("config", "name of the ConfigMap", default="config")
        self.flag("namespace", "of the ConfigMap; the pod's by default", env="METALLB_NAMESPACE")
        self.flag("kubeconfig", "file with credentials; the pod's own by default")
        self.flag("log-level", f"one of {' '.join(LEVEL_NAMES)}", default="info", read=_level)
        self.switch("enable-pprof", "accepted without effect: there is no Go runtime to profile")

    def flag(
        self,
        name: str,
        meaning: str,
        *,
        default: str = "",
        env: str = "",
        read: Callable[[str], object] = str,
    ) -> None:
        """Add a flag with a value, with its default from the environment where one is named."""
        if env:
            default = os.environ.get(env, default)
            meaning += f" (environment: {env})"
        self._parser.add_argument(
            f"-{name}", f"--{name}", default=default, type=read, help=meaning, metavar="VALUE"
        )

    def switch(self, name: str, meaning: str) -> None:
        """Add a flag that is on or off; a value follows after ``=`` alone."""
        self._parser.add_argument(
            f"-{name}",
            f"--{name}",
            default=False,
            nargs="?",
            const=True,
            type=_boolean,
            help=meaning,
            metavar="true|false",
        )

    def parse(self, argv: list[str] | None) -> argparse.Namespace:
        """Parse, or end the process with usage on stderr and status 2."""
        return self._parser.parse_args(argv)

    def fail(self, message: str) -> None:
        """End the process with this message and status 2."""
        self._parser.error(message)


def common_options(args: argparse.Namespace) -> CommonOptions:
    """Pick out what both daemons take. The namespace defaults to that of the pod."""
    return CommonOptions(
        host=args.host,
        port=args.port,
        config=args.config,
        namespace=args.namespace or _pod_namespace(),
        kubeconfig=args.kubeconfig,
        log_level=args.log_level,
    )


def _pod_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text().strip()
    except OSError:
        return ""


def read_port(text: str) -> int:
    """Read a port number. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}": want a port from 0 to 65535')
    return int(text)


def _level(text: str) -> Level:
    if text not in LEVEL_NAMES:
        raise argparse.ArgumentTypeError(f'"{text}": want one of {" ".join(LEVEL_NAMES)}')
    return Level[text.upper()]


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise argparse.ArgumentTypeError(f'"{text}": want true or false')
    return _BOOLEANS[text]
