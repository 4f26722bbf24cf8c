"""Starts the controller: ``metallb-controller`` or ``python -m controller``."""

from __future__ import annotations

import sys

from controller.cli import parse


def main() -> None:
    """Run until a signal asks for the end."""
    options = parse()
    # Only now, so that --help and a wrong flag answer at once.
    from controller.replica import run
    from metallb_py.runtime.tasks import run_with_signals

    sys.exit(run_with_signals(lambda stop: run(options, stop)))


if __name__ == "__main__":
    main()
