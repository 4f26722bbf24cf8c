"""I/O of the responder: its process, sockets and messages, and the speaker's client of it.

``process`` is the entry point of the responder process; ``sockets`` receives and answers frames
there, with ``packet_socket`` and ``multicast``. ``client`` is the speaker's handle
on the process, and ``messages`` the format between the two.

``process`` and the modules that it uses import no asyncio, since every import costs memory.
"""
