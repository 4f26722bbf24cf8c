"""Entry point of the process: ``metallb-controller`` or ``python -m controller``."""

from __future__ import annotations

import sys

from controller.cli import parse


def main() -> None:
    """Run the controller until SIGTERM or SIGINT; exit with its status."""
    options = parse()
    # Imported late, so that --help and a wrong flag are answered without delay.
    from controller.replica import run
    from metallb_py.runtime.tasks import run_with_signals

    sys.exit(run_with_signals(lambda stop: run(options, stop)))


if __name__ == "__main__":
    main()
