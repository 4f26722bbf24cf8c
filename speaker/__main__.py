"""Starts the speaker: ``metallb-speaker`` or ``python -m speaker``."""

from __future__ import annotations

import sys

from speaker.cli import parse


def main() -> None:
    """Run until a signal asks for the end."""
    options = parse()
    # Only now, so that --help and a wrong flag answer at once.
    from metallb_py.runtime.tasks import run_with_signals
    from speaker.app import run

    sys.exit(run_with_signals(lambda stop: run(options, stop)))


if __name__ == "__main__":
    main()
