"""Replays a measured spectrum image as a search for its best spectra, led by its image: `adaptem dkl FILE`."""
