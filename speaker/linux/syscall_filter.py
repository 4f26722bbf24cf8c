"""Seccomp filter for worker processes: system calls that they never need fail with EPERM.

It denies an attacker that controls a worker process the calls to run programs, start processes,
inspect other processes, change mounts and namespaces, or reach rarely used parts of the kernel.
Threads are allowed. All other calls are allowed whatever their arguments, which kernels since 5.11
decide from a bitmap, without running the filter (seccomp(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

# struct sock_filter, and the codes, of linux/filter.h and linux/bpf_common.h
_INSTRUCTION: Final = Struct("=HBBI")
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER_EQUAL: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_SET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
# struct seccomp_data of linux/seccomp.h
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST_ARGUMENT: Final = 16  # the low half; both architectures are little-endian
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000

_CLONE_THREAD: Final = 0x00010000
_X32_BIT: Final = 0x40000000
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2

# The same number on every architecture.
_COMMON: Final[Mapping[str, int]] = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
_CLONE3: Final = 435


@dataclass(frozen=True, slots=True)
class Table:
    """System call numbers of an architecture."""

    audit: int
    """The number of the architecture in linux/audit.h."""
    clone: int
    """The number of ``clone``, which is allowed for threads alone."""
    denied: Mapping[str, int]
    """The denied system calls."""


TABLES: Final[Mapping[str, Table]] = {
    "x86_64": Table(
        0xC000003E,
        56,
        {
            **_COMMON,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "ptrace": 101,
            "syslog": 103,
            "mknod": 133,
            "uselib": 134,
            "personality": 135,
            "vhangup": 153,
            "modify_ldt": 154,
            "pivot_root": 155,
            "adjtimex": 159,
            "chroot": 161,
            "acct": 163,
            "settimeofday": 164,
            "mount": 165,
            "umount2": 166,
            "swapon": 167,
            "swapoff": 168,
            "reboot": 169,
            "sethostname": 170,
            "setdomainname": 171,
            "iopl": 172,
            "ioperm": 173,
            "create_module": 174,
            "init_module": 175,
            "delete_module": 176,
            "quotactl": 179,
            "lookup_dcookie": 212,
            "clock_settime": 227,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "mknodat": 259,
            "unshare": 272,
            "perf_event_open": 298,
            "fanotify_init": 300,
            "open_by_handle_at": 304,
            "clock_adjtime": 305,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "kcmp": 312,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "execveat": 322,
            "userfaultfd": 323,
        },
    ),
    "aarch64": Table(
        0xC00000B7,
        220,
        {
            **_COMMON,
            "lookup_dcookie": 18,
            "mknodat": 33,
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "chroot": 51,
            "vhangup": 58,
            "quotactl": 60,
            "acct": 89,
            "personality": 92,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "clock_settime": 112,
            "syslog": 116,
            "ptrace": 117,
            "reboot": 142,
            "sethostname": 161,
            "setdomainname": 162,
            "settimeofday": 170,
            "adjtimex": 171,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "execve": 221,
            "swapon": 224,
            "swapoff": 225,
            "perf_event_open": 241,
            "fanotify_init": 262,
            "open_by_handle_at": 265,
            "clock_adjtime": 266,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "kcmp": 272,
            "finit_module": 273,
            "bpf": 280,
            "execveat": 281,
            "userfaultfd": 282,
            "kexec_file_load": 294,
        },
    ),
}


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def program(table: Table) -> bytes:
    """Return the filter for an architecture. All calls of another architecture fail."""
    return b"".join(_instructions(table))


def deny_system_calls() -> bool:
    """Install the filter permanently; return False if kernel or architecture do not support it.

    The process must have set PR_SET_NO_NEW_PRIVS before.
    """
    table = TABLES.get(os.uname().machine)
    if table is None:
        return False
    code = program(table)
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = _Program(len(code) // _INSTRUCTION.size, code)
    result: int = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0)
    return result == 0


def _instructions(table: Table) -> Iterator[bytes]:
    yield _INSTRUCTION.pack(_LOAD, 0, 0, _ARCHITECTURE)
    yield _INSTRUCTION.pack(_JUMP_EQUAL, 1, 0, table.audit)
    yield _fail(errno.EPERM)
    yield _INSTRUCTION.pack(_LOAD, 0, 0, _NUMBER)
    yield _INSTRUCTION.pack(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT)
    yield _fail(errno.EPERM)
    for number in sorted(table.denied.values()):
        yield _INSTRUCTION.pack(_JUMP_EQUAL, 0, 1, number)
        yield _fail(errno.EPERM)
    # The flags of clone3 are in memory, which a filter can't read. On ENOSYS the C library falls
    # back to clone.
    yield _INSTRUCTION.pack(_JUMP_EQUAL, 0, 1, _CLONE3)
    yield _fail(errno.ENOSYS)
    yield _INSTRUCTION.pack(_JUMP_EQUAL, 0, 3, table.clone)
    yield _INSTRUCTION.pack(_LOAD, 0, 0, _FIRST_ARGUMENT)
    yield _INSTRUCTION.pack(_JUMP_SET, 1, 0, _CLONE_THREAD)
    yield _fail(errno.EPERM)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)


def _fail(number: int) -> bytes:
    return _INSTRUCTION.pack(_RETURN, 0, 0, _ERRNO | number)
