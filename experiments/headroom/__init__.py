"""How much choosing well is worth in each world: simple plans beside one who knows the truth, with the same eyes."""
