"""The front end for MetalLB's ConfigMap: YAML text in, ``model.config.Config`` out.

``compile.read_config.read_config`` is the entry point. It either returns a valid configuration or
raises ConfigError with every problem of the text, each with its line and path. ``yaml`` decodes the
text against the schema, ``compile`` checks the records and builds the model. The other modules are
``problems``, which collects the problems and bounds the work; ``communities`` and ``durations``,
which parse values; and ``draining``, which stores the pools that left the configuration.

Pure: imports ``metallb_py.model`` and the leaf modules, and no asyncio, socket, time, random or os.
Only ``yaml.document`` imports PyYAML.
"""
