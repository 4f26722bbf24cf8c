"""BFD in the speaker (RFC 5880, 5881, 5883): the sessions that watch BGP peers.

``targets.targets_for`` returns the BFD sessions of a node from the profiles of its BGP peers; it
is pure, as this package is: it imports no asyncio, socket, time, random or os. ``io`` runs the
sessions in a process of their own, which the speaker uses through ``io.client.Bfd``. The protocol
is in ``metallb_py.protocols.bfd``. Of the speaker, this package imports ``speaker.linux``
alone, and only in ``io``.
"""
