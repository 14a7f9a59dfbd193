"""The proof: does choosing where to look pay, world by world, beside baselines that are tuned as much."""
