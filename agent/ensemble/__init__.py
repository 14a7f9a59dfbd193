"""Ensembles of twins: one configuration over a grid or a sample of its parameters, and what came of every member."""
