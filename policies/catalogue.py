"""All policies by name, with their settings: what a configuration may ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardware_bridge.words import Word
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings
from policies.expert import Expert, ExpertSettings
from policies.interface import Policy
from policies.prospector import Prospector, ProspectorSettings
from policies.raster import Raster, RasterSettings
from policies.staring import Staring, StaringSettings
from policies.uniform import Uniform, UniformSettings

# A policy is made from its settings; which class goes with which is known here and nowhere else.
_MAKERS: dict[str, tuple[type[Word], Callable[[Any], Policy]]] = {
    "staring": (StaringSettings, Staring),
    "raster": (RasterSettings, Raster),
    "random": (UniformSettings, Uniform),
    "expert": (ExpertSettings, Expert),
    "bayes": (BayesSettings, BayesPolicy),
    "prospector": (ProspectorSettings, Prospector),
}

NAMES: tuple[str, ...] = tuple(_MAKERS)


def settings_type(name: str) -> type[Word]:
    """The settings that a policy takes; all have defaults.

    Raises:
        ValueError: there is no policy of that name.
    """
    if name not in _MAKERS:
        raise ValueError(f"policy = {name!r} is unknown: choose one of {', '.join(NAMES)}")
    return _MAKERS[name][0]


def make(name: str, settings: Word | None = None) -> Policy:
    """A new policy with the given settings, or its defaults.

    Raises:
        ValueError: there is no policy of that name, or the settings are another one's.
    """
    wanted = settings_type(name)
    chosen = wanted() if settings is None else settings
    if not isinstance(chosen, wanted):
        raise ValueError(f"settings of {name} must be {wanted.__name__}, not {type(chosen).__name__}")
    return _MAKERS[name][1](chosen)
