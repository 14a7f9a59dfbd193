"""A person in the loop. What a person is asked and may do is decided here; screens are clients of it.

``console`` is the one that knows: it runs in the agent's process, whoever asks and answers. ``asking`` is the Review
that puts a policy's proposals to it. ``question`` says how a question goes from state to state, ``lease`` who may
decide, ``standing`` what needs no asking, ``audit`` keeps what people did, in a chain of hashes. Nothing here touches
the instrument but ``stop``, which blanks and aborts through the bridge, and the loop that runs what was decided.
"""
