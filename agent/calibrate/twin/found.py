"""What was found: every parameter of a twin with its error, or the reason why these data do not tell it."""

from __future__ import annotations

import math

from hardware_bridge.words import Name, NotNegative, Number, Text, Word


class Parameter(Word, frozen=True, kw_only=True):
    """One parameter of a twin: a value with its standard deviation, or None with the reason.

    ``ln_sd`` is the standard deviation of the logarithm where the error is a factor (times that are fitted, say); then
    ``value`` is the middle (median) and ``sd`` is value x ln_sd. ``note`` says what the number rests on, or why there
    is none.
    """

    name: Name
    unit: Text
    value: Number | None = None
    sd: NotNegative | None = None
    ln_sd: NotNegative | None = None
    note: Text = ""

    @property
    def is_identifiable(self) -> bool:
        """Whether these data tell it."""
        return self.value is not None

    def z(self, truth: float) -> float:
        """By how many standard deviations the estimate is off; nan where there is none."""
        if self.value is None or not self.sd:
            return math.nan
        if self.ln_sd is not None:
            return math.log(self.value / truth) / self.ln_sd
        return (self.value - truth) / self.sd


class Found(Word, frozen=True, kw_only=True):
    """All parameters, in the order of the table."""

    source: Text
    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of a name; KeyError where there is none."""
        for each in self.parameters:
            if each.name == name:
                return each
        raise KeyError(name)


def known(name: str, unit: str, value: float, sd: float, note: str = "") -> Parameter:
    """A parameter with an error of its own unit."""
    return Parameter(name=name, unit=unit, value=float(value), sd=float(sd), note=note)


def factor(name: str, unit: str, mean_ln: float, ln_sd: float, note: str = "") -> Parameter:
    """A parameter above zero whose error is a factor."""
    value = math.exp(mean_ln)
    return Parameter(name=name, unit=unit, value=value, sd=value * float(ln_sd), ln_sd=float(ln_sd), note=note)


def unknown(name: str, unit: str, why: str) -> Parameter:
    """A parameter that these data do not tell."""
    return Parameter(name=name, unit=unit, note=why)
