"""Merlin and DECTRIS detectors as frame sources of a bridge, by LiberTEM's receivers in their own environment."""
