"""Kernel interfaces of Linux, for any feature of the speaker.

``netlink``, ``routes`` and ``addresses`` read the kernel's tables; ``datagrams`` and ``tcp_md5``
configure sockets; ``subprocess`` and ``channel`` run the helper processes and connect them to the
speaker; ``capabilities`` and ``syscall_filter`` confine these processes.

The lowest layer of the speaker: it imports ``metallb_py`` alone, and does I/O (contracts in
setup.cfg). ``channel``, ``capabilities``, ``netlink`` and ``routes`` run in helper processes and
import no asyncio, since every import costs memory there. Sources: the man pages netlink(7),
packet(7), ip(7), capabilities(7) and seccomp(2), and RFC 2385.
"""
