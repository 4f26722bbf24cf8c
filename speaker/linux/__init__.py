"""Kernel interfaces of Linux, for any feature of the speaker.

``netlink``, ``routes`` and ``addresses`` read the kernel's tables; ``datagrams`` and ``tcp_md5``
configure sockets; ``worker_process`` runs the worker processes, ``channel`` connects them to the
speaker, and ``event_loop`` is what they wait in; ``capabilities`` and ``syscall_filter`` confine
them.

The lowest layer of the speaker: it imports ``metallb_py`` alone, and does I/O (contracts in
setup.cfg). ``channel``, ``event_loop``, ``capabilities``, ``netlink`` and ``routes`` run in worker
processes and import no asyncio, since every import costs memory there. Sources: the man pages
netlink(7), packet(7), ip(7), capabilities(7) and seccomp(2), and RFC 2385.
"""
