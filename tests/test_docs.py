"""What the documentation shows is so: every link leads somewhere, the night's config is one that loads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.config import from_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "experiments").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_nights_config_loads() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "nights.md").read_text(encoding="utf-8"), re.DOTALL)
    night = tomllib.loads(shown)
    config = from_table({**tomllib.loads(DEFAULT_CONFIG.read_text(encoding="utf-8")), **night}, more=CHOICES)
    assert config.references.dark_every_s == 1800.0
    assert config.park is not None
    assert config.park.set.holder.flow_nl_per_s == 0.0
    assert config.notify.on == ("alarm", "ended", "failed")
    assert config.references.current_share == 0.1
    assert config.references.zero_loss is not None
    assert config.references.gain is not None
    assert config.references.gain.repeats == 4
