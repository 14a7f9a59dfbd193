"""How policies learn: training code that gets its environments and data handed in.

Ray is imported here, in ``policies.serving`` and in ``envs.workers`` only. Trained weights lie beside the code that
uses them, not here.
"""
