"""Announcers: the connection between the speaker's core and its features, one for each protocol.

``interface.Announcer`` is the interface that ``speaker.app`` uses; ``layer2.Layer2Announcer`` and
``bgp.BgpAnnouncer`` implement it. ``bgp_reporter.BgpReporter``, ``bfd.BfdWatcher`` and
``bgp_passwords.Passwords`` belong to BGP. Each of them translates announcements for its feature, or
the feature's events into log lines and metrics.

The package imports ``metallb_py``, the features' packages with their ``io``, and asyncio; it does
no I/O of its own. A new protocol gets a module here and is registered in ``registry``.
"""
