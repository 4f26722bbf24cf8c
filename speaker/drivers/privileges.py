"""Gives up what a process may do, but for capabilities that it uses (capabilities(7), prctl(2))."""

from __future__ import annotations

import ctypes
import os
from struct import Struct

CAP_NET_RAW = 13

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_HIGHEST_CAPABILITY = 63
_HEADER = Struct("=Ii")  # version, process (0: this one)
_SETS = Struct("=6I")  # effective, permitted, inheritable: low words, then high words


def keep_only(*capabilities: int) -> None:
    """Drop every capability but these, where we have them, and the means to ever get more.

    Raises OSError where the kernel refuses to let go of one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for other in range(_HIGHEST_CAPABILITY + 1):
        if other not in capabilities:
            libc.prctl(_PR_CAPBSET_DROP, other, 0, 0, 0)  # not ours to drop without CAP_SETPCAP
    header = ctypes.create_string_buffer(_HEADER.pack(_CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(_SETS.size)
    _check(libc.capget(header, sets))
    _, permitted, _, _, _, _ = _SETS.unpack(sets.raw[: _SETS.size])
    kept = permitted & sum(1 << capability for capability in capabilities)
    _check(libc.capset(header, ctypes.create_string_buffer(_SETS.pack(kept, kept, 0, 0, 0, 0))))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
