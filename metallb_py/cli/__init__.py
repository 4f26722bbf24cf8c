"""The ``metallb-py`` command for operators, also installed as ``kubectl-metallb``.

``__main__.main`` is the entry point; each subcommand is a module with ``add_parser`` and ``run``:
``validate`` checks a configuration, ``plan`` shows its effect on a cluster, ``explain`` shows the
state of one Service, and ``who_has`` checks the hosts that answer for an address. ``cluster`` reads
the API server, ``speakers`` the inputs of the speakers' decisions, and ``terminal`` prints.

The subcommands call the pure decision code of the daemons, and none of the daemons' I/O. Imports
that take long are in the functions that need them.
"""
