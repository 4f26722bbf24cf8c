"""The library that the controller, the speaker and the command line share.

From below: the leaf modules directly in this package (addresses, errors, verdicts, backoff, rate
limits); ``model``, the validated configuration; ``config``, the ConfigMap front end, and
``protocols``, the codecs and state machines of BGP, BFD, ARP, NDP and memberlist; ``kube``, the
Kubernetes API; ``runtime``, the services of a process; ``lab`` and ``cli``, the commands.

A package imports only what is below it, and only ``cli`` and ``lab`` import the daemons. The leaf
modules, ``model``, ``config`` and ``protocols`` are pure: they import no asyncio, socket, ssl,
time, threading, subprocess, logging, random or os. The contracts in setup.cfg enforce both rules.
"""
