"""Namespaces of the lab's own, so that nothing of it can outlive it.

The lab runs as process 1 of its own PID namespace, with its own mounts and network. However it
ends, by Ctrl-C, a crash or SIGKILL, the kernel ends every process in it and then removes its
networks and mounts. Nothing outside is changed, so nothing is left to clean up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class IsolationError(Exception):
    """The kernel does not permit this user to create namespaces."""


def run_isolated(main: Callable[[int], int]) -> int:
    """Run ``main`` as process 1 of new namespaces; return its exit status.

    ``main`` gets the process ID that this process has on the host. Works for root, and for others
    through a user namespace. Raises IsolationError where neither is allowed.
    """
    try:
        _unshare_everything()
    except OSError as error:
        raise IsolationError(
            f"the lab needs namespaces: want root, or user namespaces ({error.strerror})"
        ) from error
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_first_process(main))
    return _wait_for(child)


def has_other_users() -> bool:
    """Whether daemons can run as other users here: not where one user alone is mapped."""
    maps = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return sum(int(count) for _, _, count in maps) > 1


def isolate_this_process() -> None:
    """Give this process mounts and a network of its own, for as long as it lives.

    Raises IsolationError where that is not allowed. Its children end with it only if they
    call ``end_with_parent``.
    """
    try:
        _unshare(CLONE_NEWNS | CLONE_NEWNET)
    except OSError as error:
        raise IsolationError(f"want root ({error.strerror})") from error
    _mount_own(with_processes=False)


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """Mount a file system. Raises OSError."""
    arguments = [os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), None), target)


def new_mount_namespace() -> None:
    """Give this process mounts of its own. Raises OSError."""
    _unshare(CLONE_NEWNS)
    mount("none", "/", "none", MS_REC_PRIVATE)


def join_network(path: str) -> None:
    """Move this process into a network namespace. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.setns(handle, CLONE_NEWNET), path)
    finally:
        os.close(handle)


def join_process(process: int) -> None:
    """Move this process to the mounts and the network of another, its children to its PIDs.

    Raises IsolationError.
    """
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET
    try:
        handle = os.pidfd_open(process)
        try:
            if not Path(f"/proc/{process}/ns/user").samefile("/proc/self/ns/user"):
                flags |= CLONE_NEWUSER
            _check(_libc.setns(handle, flags), f"process {process}")
        finally:
            os.close(handle)
    except OSError as error:
        raise IsolationError(f"process {process}: {error.strerror}") from error


def end_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")


def _first_process(main: Callable[[int], int]) -> int:
    end_with_parent()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for jobs with "&"
    outside = int(Path("/proc/self").readlink().name)  # while /proc is still that of the host
    _mount_own(with_processes=True)
    try:
        return main(outside)
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _end(number: int, _: object) -> None:
    """Exit at a signal, which process 1 would otherwise ignore; its forks end as usual."""
    if os.getpid() == 1:
        sys.exit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _mount_own(*, with_processes: bool) -> None:
    mount("none", "/", "none", MS_REC_PRIVATE)
    if with_processes:
        mount("proc", "/proc", "proc", MS_NOSUID_NODEV_NOEXEC)
    mount("sysfs", "/sys", "sysfs", MS_NOSUID_NODEV_NOEXEC)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID_NODEV_NOEXEC)


def _wait_for(child: int) -> int:
    """Wait for the lab, and pass SIGTERM on to it. Ctrl-C reaches it directly."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _unshare_everything() -> None:
    """Leave the host's mounts, processes and network. Raises OSError."""
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _unshare(flags)
        return
    _unshare(flags | CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
