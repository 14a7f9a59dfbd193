"""Seeing: particles and atomic columns in images of the twin, beside scikit-image and trackpy; `python -m` runs it."""
