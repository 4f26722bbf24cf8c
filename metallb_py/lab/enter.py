"""Program that runs another on a machine of the lab, hence apart: ``enter NAMESPACE PROGRAM ...``.

The program finds the links of that network namespace in /sys, as on a machine of its own, and it
is killed when the lab is. ``-`` stands for the control plane's machine, where the lab itself runs.
"""

from __future__ import annotations

import os
import sys

from metallb_py.lab.isolate import (
    MS_NOSUID_NODEV_NOEXEC,
    end_with_parent,
    join_network,
    mount,
    new_mount_namespace,
)

NAMESPACES = "/run/netns"
HERE = "-"


def command(namespace: str, *program: str) -> list[str]:
    """Return the command line that runs a program inside a namespace, or HERE."""
    return [sys.executable, "-m", "metallb_py.lab.enter", namespace, *program]


def main() -> None:
    """Enter the namespace, and execute the program."""
    namespace, *program = sys.argv[1:]
    end_with_parent()
    try:
        if namespace != HERE:
            join_network(f"{NAMESPACES}/{namespace}")
            new_mount_namespace()
            mount("sysfs", "/sys", "sysfs", MS_NOSUID_NODEV_NOEXEC)
    except OSError as error:
        sys.exit(f"{namespace}: {error.strerror}: want one of the lab's machines")
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
