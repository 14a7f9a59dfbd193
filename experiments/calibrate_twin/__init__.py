"""How well a hidden twin is found from its images: 20 seeds, each with other electronics, drift, source and current."""
