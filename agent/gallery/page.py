"""One page of all worlds, which opens without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from agent.gallery.drawing import drawn
from agent.gallery.looks import moments
from agent.report.markup import card as carded
from agent.report.markup import escape, facts, listed, said, section
from agent.report.style import house_style
from hardware_bridge.microscope import Microscope
from hardware_bridge.report import Card

Exhibit = tuple[Card, Microscope, Mapping[str, Sequence[float]]]
"""What is public about a world, an instrument that has it, and its truth."""

TITLE = "The worlds of the digital twin"


def write_gallery(
    worlds: Sequence[Callable[[], Exhibit]], out: Path, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Write pictures of worlds, each at three of the times that its fields are asked for, to ``out`` and return it.

    Raises:
        OSError: ``out`` cannot be written.
    """
    parts = [
        said(
            "Each world as its microscope sees it, at three times, in every mode. The first picture of a time is all "
            "of the specimen, with contours of the first of its true fields; the true fields follow, cell by cell. "
            "Looking harms: what these pictures cost is part of what they show."
        )
    ]
    with house_style():
        for make in worlds:
            card, microscope, truth = make()
            times_s = [card.times_s[0], card.times_s[len(card.times_s) // 2], card.times_s[-1]]
            pictures = [
                carded(drawn(card, moment, truth), f"After {moment.time_s:g} s.")
                for moment in moments(microscope, card, times_s, say)
            ]
            parts.append(section(card.world, said(_asked(card)), _public(card), *pictures, listed(card.sources)))
    page = Template(files("agent.report").joinpath("page.html").read_text(encoding="utf-8"))
    out.write_text(page.substitute(title=escape(TITLE), body="\n".join(parts)), encoding="utf-8")
    return out


def _asked(card: Card) -> str:
    asked = ", ".join(f"{target.name} [{target.unit}]" if target.unit else target.name for target in card.targets)
    told = f" {card.headroom.capitalize()}" if card.headroom else ""
    return f"Asked for: {asked}.{told}"


def _public(card: Card) -> str:
    return facts(
        [
            ("extent", f"{card.extent_nm:g} nm"),
            ("duration", f"{card.duration_s:g} s"),
            (
                "budget",
                f"{card.budget_electrons:.3g} electrons, at most {card.max_fluence_e_per_A2:g} e/\u00c5\u00b2 a cell",
            ),
        ]
    )
