"""Gymnasium tasks: an episode at a microscope, what it may spend, and how its result is scored.

Here live the environments over any microscope, the score against the hidden truth, the prior and the dose-efficiency
curve. The truth stays in this room's scores. Policies are not imported here, and perception is handed in as a callable,
so that no policy can grade its own work. Importing this room registers the environments of all worlds.
"""

from envs.registration import register

register()
