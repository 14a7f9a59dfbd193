"""A simulated microscope and specimen on one clock, behind the same protocol as a real instrument.

Here live specimen, optics, detectors, spectra, stage and beam damage, batched over worlds in torch. ``optics`` and
``spectra`` are pure formulae that perception and policies may share; worlds, truth and instrument are for environments
and the assembly only. No policy, no score and no message format is defined here.
"""
