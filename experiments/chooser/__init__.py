"""Trained choosers beside greedy: how the percept-level practice agrees with whole runs, and what was gained."""
