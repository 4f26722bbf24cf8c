"""Compilation of decoded records to the model, with checks and messages of MetalLB 0.12.

``read_config.read_config`` is the entry point: it decodes a text and compiles each of its parts.
``pools`` (with ``advertisements`` and ``community_room``) and ``peers`` (with ``peer_options``)
compile the sections of the configuration; ``fields`` reads the values of a record. ``limits`` bound
the memory and the time that a text can cost.

A check adds a problem to the Findings and continues, so that all problems are reported at once.
Pure: imports ``metallb_py.model`` and the rest of ``metallb_py.config``, and no I/O module.
"""
