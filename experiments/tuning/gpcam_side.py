"""gpCAM in a process and an environment of its own (it is under the GPL): settings out, sharpness in, line by line.

Reads {"parameters": P, "begin": n, "seed": s}, then one sharpness a line; writes settings as shares of their ranges,
-1..1. As BEACON has it: evenly random settings first, then the upper confidence bound, gpCAM's default kernel.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
from gpcam import GPOptimizer  # type: ignore[import-not-found]

TRAIN_EVERY, ITERATIONS = 5, 20


def main() -> None:
    """Answer until nobody asks any more."""
    warnings.simplefilter("ignore")
    asked = json.loads(sys.stdin.readline())
    random = np.random.default_rng(asked["seed"])
    np.random.seed(asked["seed"])  # noqa: NPY002 - gpCAM draws from it
    count, bounds = asked["parameters"], np.array([[-1.0, 1.0]] * asked["parameters"])
    hyper = np.array([[1e-4, 1e2]] + [[1e-2, 1e1]] * count)
    tried: list[np.ndarray] = []
    found: list[float] = []
    model = None
    while True:
        if len(tried) < asked["begin"]:
            new = random.uniform(-1.0, 1.0, count)
        else:
            if model is None or len(tried) % TRAIN_EVERY == 0:
                values = np.array(found)
                values = (values - values.mean()) / values.std()
                model = GPOptimizer(np.stack(tried), values, noise_variances=np.full(len(tried), 1e-2))
                model.train(hyperparameter_bounds=hyper, method="global", max_iter=ITERATIONS)
                scale = np.mean(found), np.std(found)
            new = np.asarray(model.ask(bounds, n=1, acquisition_function="ucb")["x"])[0]
        print(json.dumps(new.tolist()), flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        tried.append(new)
        found.append(float(line))
        if model is not None:
            value = np.array([(found[-1] - scale[0]) / scale[1]])
            model.tell(new[None], value, noise_variances=np.array([1e-2]), append=True)


if __name__ == "__main__":
    main()
