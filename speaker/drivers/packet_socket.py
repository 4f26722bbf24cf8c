"""An AF_PACKET socket on one interface, behind a classic BPF filter (packet(7))."""

from __future__ import annotations

import ctypes
import socket
from struct import Struct

from metallb_py.protocols.ethernet import EtherType

# More than any ARP frame, padded and tagged.
_FRAME_LIMIT = 128
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_INSTRUCTION_SIZE = 8
_PROGRAM = Struct("HP")  # struct sock_fprog: count of instructions, pointer to them


class PacketSocket:
    """A non-blocking socket that sends and receives whole frames.

    Raises OSError where the kernel refuses: no CAP_NET_RAW, no such interface, link down.
    """

    __slots__ = ("_socket",)

    def __init__(self, interface: str, ether_type: EtherType, program: bytes) -> None:
        # Protocol 0 receives nothing: no frame gets in before the filter stands and the socket is
        # bound to its interface.
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        )
        try:
            self.attach(program)
            self._socket.bind((interface, ether_type))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def attach(self, program: bytes) -> None:
        """Put this filter in place of the present one, without losing a frame between the two."""
        attach_filter(self._socket, program)

    def receive(self) -> bytes | None:
        """Return the next frame, or None where none is waiting."""
        try:
            return self._socket.recv(_FRAME_LIMIT)
        except BlockingIOError:
            return None

    def send(self, frame: bytes) -> None:
        """Send a frame, header and all."""
        self._socket.send(frame)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def attach_filter(target: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program to a socket. Raises OSError where the kernel refuses it."""
    instructions = ctypes.create_string_buffer(program, len(program))
    count = len(program) // _INSTRUCTION_SIZE
    option = _PROGRAM.pack(count, ctypes.addressof(instructions))
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
