"""What to do next: proposers, choosers and whole policies, from a raster to Bayesian optimisation.

Here live the ``Policy``, ``Proposer`` and ``Chooser`` protocols, the baselines, the Bayesian policy and, under
``training``, what learns. Of the twin only the pure formulae in ``digital_twin.optics`` and ``digital_twin.spectra``
may be imported, never a world, a truth or an instrument; environments are not imported at all.
"""
