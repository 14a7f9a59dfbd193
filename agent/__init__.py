"""The autonomous microscopist: one turn after another of look, think, decide and act.

Here live the loop, perception (from an observation to features with standard deviations), review (the envelope, then a
person), the recorder, the report and the command line. Only ``agent.assemble`` and ``agent.cli`` know concrete classes
of the other rooms. ``loop``, ``perception``, ``review`` and ``recorder`` import neither the twin (but for the pure
formulae in ``digital_twin.optics`` and ``digital_twin.spectra``, in perception) nor the environments, so nothing here
can see a hidden truth. This file holds no code: ``import agent.loop`` loads neither torch nor zmq nor ray.
"""
