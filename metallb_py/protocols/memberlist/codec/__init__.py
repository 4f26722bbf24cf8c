"""The wire format of hashicorp/memberlist: bytes to messages and back.

Entry points: ``envelope.Envelope`` packs and unpacks datagrams, ``envelope.StreamReader`` reads
the message of a stream. Below it: ``encode`` and ``decode`` (messages), ``messages`` (the records),
``msgpack_fields`` (MessagePack), ``compound``, ``lzw`` and ``keyring`` (AES-GCM).

Whatever arrives is untrusted: each decoder raises its one documented error, and uses memory and
work in proportion to a limit. The package is pure; of the protocols, it alone imports msgpack and
cryptography.
Sources: memberlist's ``net.go``, ``util.go``, ``security.go`` and ``label.go``.
"""
