"""Measuring an instrument by its own images: what a move, a beam shift, a turn of the scan and a lens really do.

Everything goes through an ordinary ``Microscope``, so that limits and dose count as always. ``procedure.py`` is the
sequence; the other files are one measurement each.
"""
