"""All policies by name, with their settings: what a configuration may ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardware_bridge.words import Word
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings
from policies.chooser.policy import Learned, LearnedSettings
from policies.expert import Expert, ExpertSettings
from policies.greedy import Greedy, GreedySettings
from policies.interface import Policy
from policies.outlook import Outlook
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

# These are also given what looks would tell, by whoever knows perception.
FORESEEING: dict[str, tuple[type[Word], Callable[[Any, Outlook], Policy]]] = {
    "greedy": (GreedySettings, Greedy),
    "learned": (LearnedSettings, Learned),
}

ADAPTIVE = frozenset({"bayes", "greedy", "learned"})
"""Policies that follow what they believe; the others follow a plan or a rule."""

NAMES: tuple[str, ...] = (*_MAKERS, *FORESEEING)


def settings_type(name: str) -> type[Word]:
    """The settings that a policy takes; all have defaults.

    Raises:
        ValueError: there is no policy of that name.
    """
    if name not in NAMES:
        raise ValueError(f"policy = {name!r} is unknown: choose one of {', '.join(NAMES)}")
    return (_MAKERS.get(name) or FORESEEING[name])[0]


def make(name: str, settings: Word | None = None, outlook: Outlook | None = None) -> Policy:
    """A new policy with the given settings, or its defaults, and with an outlook where it is one that foresees.

    Raises:
        ValueError: there is no policy of that name, the settings are another one's, or the outlook is missing.
    """
    wanted = settings_type(name)
    chosen = wanted() if settings is None else settings
    if not isinstance(chosen, wanted):
        raise ValueError(f"settings of {name} must be {wanted.__name__}, not {type(chosen).__name__}")
    if name in FORESEEING:
        if outlook is None:
            raise ValueError(f"policy = {name!r} foresees what looks would tell, and was given no outlook")
        return FORESEEING[name][1](chosen, outlook)
    return _MAKERS[name][1](chosen)
