"""The responder: answers ARP requests and neighbor solicitations for the owned addresses.

The modules here are the pure part, which runs in the responder process: ``arp.answer`` and
``ndp.answer_solicitation`` (one frame in, one reply out), ``protocols`` (what the two protocols
have in common), ``gratuitous``, ``handover``, ``placement``, ``socket_plan``, ``conflicts``,
``report`` and the BPF programs of ``bpf``; and ``events``, which the speaker makes of the reports.
``io`` holds the process, its sockets and the speaker's client of it.

The package imports ``metallb_py``, in ``events`` ``speaker.layer2``, and in ``io``
``speaker.linux``; outside of ``io`` neither asyncio, socket, time, random nor os (contracts in
setup.cfg). Documents: docs/layer2.md, RFC 826 and RFC 5227 (ARP), RFC 4861 (neighbor discovery),
RFC 9131 (advertisements to routers).
"""
