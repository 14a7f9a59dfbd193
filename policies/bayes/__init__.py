"""The Bayesian policy: Gaussian processes over space and time, proposers that predict information, a greedy chooser."""
