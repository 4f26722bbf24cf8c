"""Command-line flags in the syntax of Go's flag package, which MetalLB's manifests use.

``-x`` and ``--x`` are equivalent, values follow after ``=`` or a space, an unknown flag is an
error with exit status 2. An environment variable supplies a default, which the flag overrides.
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
    """Options of both daemons."""

    host: str
    """Address of the HTTP port; empty for all addresses."""
    port: int
    """TCP port of metrics and probes."""
    config: str
    """Name of the ConfigMap with the configuration."""
    namespace: str
    """Namespace of the ConfigMap; empty where none is set and the pod's can't be read."""
    kubeconfig: str
    """File with credentials; empty for those of the pod."""
    log_level: Level
    """Lowest level that is logged."""


class FlagParser:
    """A parser with the flags that both daemons have."""

    def __init__(self, prog: str, description: str) -> None:
        self._parser = argparse.ArgumentParser(prog, description=description, allow_abbrev=False)
        self.flag("port", "HTTP port of the metrics page", default="7472", read=read_port)
        self.flag("host", "address of the metrics page; all by default", env="METALLB_HOST")
        self.flag("config", "name of the ConfigMap", default="config")
        meaning = "namespace of the ConfigMap; the pod's by default"
        self.flag("namespace", meaning, env="METALLB_NAMESPACE")
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
        """Add a flag with a value; ``env`` names an environment variable with its default."""
        if env:
            default = os.environ.get(env, default)
            meaning += f" (environment: {env})"
        self._parser.add_argument(
            f"-{name}", f"--{name}", default=default, type=read, help=meaning, metavar="VALUE"
        )

    def switch(self, name: str, meaning: str) -> None:
        """Add a flag that is on or off; without a value it is on."""
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
        """Parse the arguments. An error ends the process with usage on stderr and status 2."""
        return self._parser.parse_args(argv)

    def fail(self, message: str) -> None:
        """End the process with this message and status 2."""
        self._parser.error(message)


def common_options(args: argparse.Namespace) -> CommonOptions:
    """Return the options of both daemons. The namespace defaults to that of the pod."""
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
    """Parse a port number. Raises ArgumentTypeError."""
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
