"""Perception: from an observation to features with honest standard deviations, and from all of them to the report.

``analyst`` turns one Observation into a Percept, ``reporter`` all Percepts of a run into the Report of the world's
targets. It measures; it never sees a world or its truth: of the twin it may import only the pure formulae in
``digital_twin.optics`` and ``digital_twin.spectra``.
"""
