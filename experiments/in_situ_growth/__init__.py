"""Nanoparticle growth in a liquid cell: the adaptive policy against baselines and a clairvoyant."""
