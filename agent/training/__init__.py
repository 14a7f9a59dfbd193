"""Training of what perception has learned: data come from generators that are handed in, weights go beside the code.

Nothing here is used in a run.
"""
