"""Entry point of ``metallb-py`` (also installed as ``kubectl-metallb``)."""

from __future__ import annotations

import argparse
import sys

from metallb_py import lab
from metallb_py.cli import explain, plan, validate, who_has

SUBCOMMANDS = (validate, plan, explain, who_has, lab)


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand and exit with its status."""
    parser = argparse.ArgumentParser("metallb-py", description="Tools for metallb-py's operators.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.add_parser(subparsers)
    args = parser.parse_args(argv)
    sys.exit(args.run(args))


if __name__ == "__main__":
    main()
