"""A member of a hashicorp/memberlist cluster (SWIM with Lifeguard), without I/O.

Entry point: ``memberlist.Memberlist``. Datagrams, messages from streams and the time go in; tuples
of effects (``events``) come out, for a driver to perform (speaker/membership/io). Beside it stand
two machines for the driver: ``coalescer`` merges events for a slow reader, ``inbound`` limits the
streams that other hosts open. ``codec`` is the wire format.

The package is pure: it imports the leaf modules of metallb_py, and neither asyncio, socket, time,
random nor os. Time, randomness and nonces are arguments.

Sources: the papers on SWIM (Das, Gupta, Motivala) and Lifeguard (Dadgar, Phillips, Currey), and
memberlist itself.
"""
