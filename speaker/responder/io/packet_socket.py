"""AF_PACKET socket on one interface, with a classic BPF filter (packet(7)).

Short: the options of this socket alone.
"""

from __future__ import annotations

import ctypes
import socket
from struct import Struct

from metallb_py.protocols.ethernet import EtherType

FRAME_LIMIT = 256
"""Number of bytes to receive of a frame: more than any frame has that is answered."""

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_INSTRUCTION_SIZE = 8
_SOL_PACKET = 263  # linux/socket.h
_PACKET_STATISTICS = 6  # linux/if_packet.h
_STATISTICS = Struct("II")  # struct tpacket_stats: number of frames, number of dropped frames
_PROGRAM = Struct("HP")  # struct sock_fprog: count of instructions, pointer to them


class PacketSocket(socket.socket):
    """A non-blocking socket that sends and receives whole frames.

    A subclass of socket, not a wrapper around one: at a hundred thousand frames a second a call in
    between costs too much. Raises OSError if the kernel refuses: no CAP_NET_RAW, no such interface,
    link down.
    """

    def __init__(self, interface: str, ether_type: EtherType, program: bytes) -> None:
        # Protocol 0 receives nothing: no frame is queued before the filter is attached and the
        # socket bound to its interface.
        super().__init__(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            self.attach(program)
            self.bind((interface, ether_type))
        except OSError:
            self.close()
            raise

    def attach(self, program: bytes) -> None:
        """Replace the filter, without losing a frame in between. Raises OSError."""
        attach_filter(self, program)

    def overruns(self) -> int:
        """Return the number of frames that the kernel dropped since the last call: queue full."""
        statistics = self.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(statistics)[1])


def attach_filter(target: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program to a socket. Raises OSError if the kernel refuses it."""
    instructions = ctypes.create_string_buffer(program, len(program))
    count = len(program) // _INSTRUCTION_SIZE
    option = _PROGRAM.pack(count, ctypes.addressof(instructions))
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
