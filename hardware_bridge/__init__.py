"""The one language between an agent and a microscope, and the rules that keep the instrument safe.

Here live the messages, the safety check, the guard around every driver, the wire with its server and client, the
journal, and the ``Microscope`` protocol that a driver implements. This room imports nothing but numpy, msgspec, pyzmq
(here and nowhere else), xxhash and the standard library, and none of the other rooms.
"""
