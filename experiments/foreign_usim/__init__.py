"""Nion Swift's simulator as an instrument: a driver that runs in its own environment, and what the agent finds in it.

``driver``, ``serve`` and ``truth`` import Nion Swift's packages, are under their licence (GPL-3.0-only), and run with
the interpreter that `make foreign` makes from requirements.txt. All else here, and all else in the project, does not.
"""
