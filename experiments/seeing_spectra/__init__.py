"""How well spectra and diffraction patterns are read: the agent's fits beside what is usual, on the same noisy data."""
