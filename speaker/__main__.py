"""Entry point of the speaker process: ``metallb-speaker`` or ``python -m speaker``.

Short: it parses the flags before it imports the rest.
"""

from __future__ import annotations

import sys

from speaker.cli import parse


def main() -> None:
    """Run the speaker until a termination signal; exit with its status."""
    options = parse()
    # Imported here, so that --help and usage errors do not wait for the heavy imports.
    from metallb_py.runtime.tasks import run_with_signals
    from speaker.app import run

    sys.exit(run_with_signals(lambda stop: run(options, stop)))


if __name__ == "__main__":
    main()
