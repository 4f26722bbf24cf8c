"""Run of the lab with its proofs; apart, because the proofs and ``keep`` import the lab."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from metallb_py.lab import keep, proofs
from metallb_py.lab.cluster import read_objects
from metallb_py.lab.lab import Lab, LabOptions
from metallb_py.lab.network import NODES
from metallb_py.lab.processes import LabError


def main(args: argparse.Namespace, folder: Path, process: int) -> int:
    """Run the lab and its proofs; ``process`` is the ID of this process on the host."""
    options = LabOptions(
        control_plane=args.control_plane,
        kubernetes_version=args.kubernetes_version,
        router=args.router,
        proxy=args.proxy,
    )
    try:
        config = read_objects(Path(args.config))
        with Lab(folder, options) as lab:
            print(f"lab: {lab.description}")
            for node in NODES:
                lab.start_speaker(node)
            lab.start_controller()
            results = proofs.prove(lab, config)
            print(proofs.table(results))
            failed = [result for result in results if not result.held]
            for result in failed:
                print(f"{result.service}: {result.proof}: {result.seen}")
            if failed:
                print(lab.logs())
            if args.keep:
                keep.stay(lab, process, [result.address for result in results])
            return 1 if failed else 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
