"""Reduction of a process' privileges to the capabilities in use (capabilities(7), prctl(2))."""

from __future__ import annotations

import ctypes
import os
from struct import Struct

from speaker.linux.syscall_filter import deny_system_calls

CAP_KILL = 5
CAP_SETGID = 6
CAP_SETUID = 7
CAP_NET_RAW = 13

NOBODY = 65534
"""User and group of worker processes, if the kernel permits the change."""

_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_HIGHEST_CAPABILITY = 63
_HEADER = Struct("=Ii")  # version, process (0: this one)
_SETS = Struct("=6I")  # effective, permitted, inheritable: low words, then high words


def confine(*capabilities: int) -> None:
    """Change the user, drop all capabilities but these, and deny system calls that are not needed.

    Raises OSError if the kernel refuses to drop a capability.
    """
    become_nobody()
    keep_only(*capabilities)
    deny_system_calls()


def become_nobody() -> bool:
    """Change to the user nobody, which owns nothing, and keep capabilities; return whether it did.

    A container's root may lack the capabilities for it. Without CAP_KILL the user is not changed,
    because the speaker could not kill a worker process of another user.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    needed = (CAP_KILL, CAP_SETGID, CAP_SETUID)
    if os.geteuid() != 0 or not all(_permitted(libc) >> each & 1 for each in needed):
        return False
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:  # a user namespace without that user: EINVAL
        return False
    return True


def keep_only(*capabilities: int) -> None:
    """Drop every capability but these, and every way to gain more.

    Of these, the ones that the process does not have are not gained. Raises OSError if the kernel
    refuses to drop one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    permitted = _permitted(libc)
    if permitted:  # the change of the user cleared the effective set
        _set(libc, permitted)
    for other in range(_HIGHEST_CAPABILITY + 1):
        if other not in capabilities:
            libc.prctl(_PR_CAPBSET_DROP, other, 0, 0, 0)  # fails without CAP_SETPCAP
    _set(libc, permitted & sum(1 << capability for capability in capabilities))


def _permitted(libc: ctypes.CDLL) -> int:
    """Return the permitted set, as bits."""
    sets = ctypes.create_string_buffer(_SETS.size)
    _check(libc.capget(_header(), sets))
    _, low, _, _, high, _ = _SETS.unpack(sets.raw[: _SETS.size])
    bits: int = high << 32 | low
    return bits


def _set(libc: ctypes.CDLL, bits: int) -> None:
    low, high = bits & 0xFFFFFFFF, bits >> 32
    _check(
        libc.capset(_header(), ctypes.create_string_buffer(_SETS.pack(low, low, 0, high, high, 0)))
    )


def _header() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_HEADER.pack(_CAPABILITY_VERSION_3, 0))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
