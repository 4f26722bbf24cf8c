"""Drivers of speaker membership: sockets, threads and requests to the API server.

Entry points: ``gossip_thread.GossipThread`` runs a member of the gossip cluster in a thread of its
own: a ``gossip_transport.GossipTransport``, which with ``inbound`` is the sockets around
``memberlist.Memberlist``. ``lease_driver.LeaseMembership`` renews this node's Lease and watches the
others.

The package may import asyncio, socket and time. Decisions are made by the pure machines in
metallb_py/protocols/memberlist and ``speaker.membership.lease_detector``; the drivers perform their
effects.
"""
