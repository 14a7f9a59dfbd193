"""The page of the gallery holds every world and time; it is looked at with eyes, too."""

from pathlib import Path

from msgspec.structs import replace

from agent import assemble
from agent.cli import main
from agent.gallery.page import write_gallery


def test_a_page_shows_worlds_with_their_truth(tmp_path: Path) -> None:
    def quick():
        card, microscope, truth = assemble.exhibit("growth", 1)()
        return card, Short(microscope), truth

    lines: list[str] = []
    page = write_gallery([quick], tmp_path / "page.html", lines.append).read_text()
    assert page.count("<svg") == 3
    assert page.count("<h2>growth</h2>") == 1
    assert "true covered fraction" in page
    assert "Zener" in page
    assert len(lines) == 3


class Short:
    """A microscope that always says it is late enough."""

    def __init__(self, inner) -> None:
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def state(self):
        return replace(self._inner.state(), clock_s=1e9)


def test_unknown_worlds_and_folders_are_told(tmp_path: Path, capsys) -> None:
    assert main(["twin", "gallery", "--world", "mars", "--out", str(tmp_path / "a.html")]) != 0
    assert "mars" in capsys.readouterr().err
    assert main(["twin", "gallery", "--out", str(tmp_path / "none" / "a.html")]) != 0
    assert "there is no folder" in capsys.readouterr().err
