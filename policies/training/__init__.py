"""How policies learn: training code that gets its environments and data handed in.

Only here, in ``policies.serving`` and in ``envs.workers`` is Ray imported. Trained weights lie beside the code that uses
them, not here.
"""
