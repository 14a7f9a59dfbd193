"""Study: how many images it takes to free a probe of its aberrations, against Bayesian optimisation of sharpness."""
