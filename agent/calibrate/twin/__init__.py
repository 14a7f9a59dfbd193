"""From recorded images to a twin of the instrument that took them: each parameter with its error, or why there is none.

``procedure.py`` is the sequence; ``evidence.py`` is what was recorded, from a run or from files; the other files are
one measurement each.
"""
