"""The speaker: runs on every node and announces Service addresses on layer 2 and over BGP.

Entry points: ``speaker.__main__.main``, then ``speaker.app.App``, which owns every task, and
``speaker.core.Speaker``, which owns the state. Each feature has a package (``layer2``,
``responder``, ``bgp``, ``bfd``, ``membership``) with its I/O in a subpackage ``io``;
``announcers`` connects the features to the core, ``linux`` wraps kernel interfaces for any of
them.

The import contracts in setup.cfg define the layers, and which modules may import asyncio, socket,
time, random or os; a module that they do not except is pure. The speaker never imports the
controller. Documents: docs/architecture.md, docs/layer2.md, docs/bgp.md, docs/membership.md.
"""
