"""Search for the best spectra of the `valence` and `interface` worlds, led by what images show."""
