"""The BFD process, and the speaker's handle on it.

Entry points: ``client.Bfd`` in the speaker, ``process.main`` in the process. Both exchange the
messages of ``messages`` over a ``speaker.linux.channel``; ``sockets`` has the UDP sockets of
RFC 5881 section 4 and RFC 5883 section 5. ``process`` and the modules that it uses import no
asyncio: what a worker process imports costs memory. The sessions themselves are
``metallb_py.protocols.bfd.sessions``.
"""
