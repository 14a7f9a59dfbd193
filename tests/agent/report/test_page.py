"""The page as a whole: structure, nothing from outside, nothing unescaped, and every kind of run."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from shutil import which

import pytest
from msgspec.structs import replace

from agent.config import WatchChoice
from agent.eventlog import LOG_NAME, Header, RecordError
from agent.record import Record
from agent.report import Scores, write_report
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, FrameEvent, Report
from policies.interface import Proposal

Look = Callable[..., tuple[Record, Observation]]
WriteRun = Callable[..., Path]

SECTIONS = [
    "Score", "What it saw", "Where it looked, and the dose it gave", "What it believes", "How it grew",
    "Focus, drift and current", "Spectra", "What it decided", "All turns", "Speed", "What went wrong", "The data",
]  # fmt: skip
# Asks the browser what it fetched, whether the page is wider than a phone, and how many pictures have a size.
PROBE = """<script>
document.querySelectorAll("details").forEach(each => { each.open = true; });
const root = document.documentElement;
const sized = [...document.querySelectorAll("svg")].filter(each => each.getBoundingClientRect().height > 50);
const told = document.createElement("pre");
told.textContent = `fetched ${performance.getEntriesByType("resource").length}, ` +
  `wider by ${root.scrollWidth - root.clientWidth}, pictures ${sized.length}`;
document.body.append(told);
</script>"""
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: headings, texts, ids, references; complains of wrong nesting."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.references: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            if name in {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}:
                self.references.append(value or "")
            assert not name.startswith("on"), f"{tag} has a handler {name}"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)
        if "style" not in self._open:
            self.text += data


def write(folder: Path, claims: Report | None = None, scores: Scores | None = None) -> Page:
    return Page(write_report(folder, folder / "report.html", claims, scores))


def test_a_whole_run_has_every_section_in_order(whole_run: Path, claims: Report) -> None:
    page = write(whole_run, claims)
    assert page.headings == SECTIONS
    # Six images, visits, dose, mean and sd of the count, radii, count over time, focus, drift, current, spectrum,
    # lanes, information, its sum, spending; of the second place there is one image.
    assert page.tags["figure"] == page.tags["svg"] == 4 + 2 + 2 + 2 + 3 + 2 + 4
    assert len(page.source) < 5e6
    assert "How fast do the particles grow?" in page.text


def test_nothing_is_fetched_from_anywhere(whole_run: Path, claims: Report) -> None:
    page = write(whole_run, claims)
    assert page.references
    assert all(reference.startswith(("#", "data:")) for reference in page.references)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import", page.source)
    names = set(re.findall(r"https?://[^\s\"'<]+", page.source))
    assert names <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_ids_are_unique_and_references_to_them_lead_somewhere(whole_run: Path, claims: Report) -> None:
    page = write(whole_run, claims)
    assert max(page.ids.values()) == 1
    wanted = set(re.findall(r"url\(#([^)]+)\)", page.source))
    wanted |= {reference[1:] for reference in page.references if reference.startswith("#")}
    assert wanted
    assert wanted <= set(page.ids)


def test_what_a_record_says_is_never_markup(
    write_run: WriteRun, header: Header, look: Look, make_proposal: Callable[..., Proposal]
) -> None:
    bad = '<script>alert(1)</script><b onclick="x">&amp; ${title} $x^2$ \' "'
    record, seen = look(0, events=(bad,))
    assert record.decision.command is not None
    proposals = (make_proposal(record.decision.command, reason=bad), make_proposal(record.decision.command, reason=bad))
    record = replace(record, failure=bad, decision=replace(record.decision, proposals=proposals, reason=bad, by=bad))
    goal = replace(header.config.goal, question=bad)
    header = replace(header, config=replace(header.config, goal=goal), created=bad)
    page = write(write_run([(record, seen)], header))
    assert "script" not in page.tags
    assert "b" not in page.tags
    # Question (title, heading), begun, what went wrong, and in the table: reason, decision, failure, event, other.
    assert page.text.count(bad) >= 8


def test_the_same_run_gives_the_same_page(whole_run: Path, claims: Report) -> None:
    assert write(whole_run, claims).source == write(whole_run, claims).source


def test_a_run_without_turns_says_so(write_run: WriteRun) -> None:
    page = write(write_run([]))
    assert page.tags["svg"] == 0
    assert "Nothing was seen in this run" in page.text
    assert "before the first turn" in page.text


def test_a_run_without_spectra_claims_and_score_says_so(write_run: WriteRun, look: Look) -> None:
    page = write(write_run([look(0), look(1)]))
    assert page.headings == SECTIONS
    assert "No spectrum was taken." in page.text
    assert "nothing was claimed" in page.text
    assert "This run has no score" in page.text


def test_a_second_spectrum_of_the_other_kind_is_named(write_run: WriteRun, look: Look) -> None:
    copper, none = ({"copper_probability": Estimate(value=value, sd=0.1)} for value in (0.9, 0.1))
    turns = [look(0, mode="EELS", estimates=copper), look(1, mode="EELS", estimates=none)]
    page = write(write_run(turns))
    assert "the spectrum with most electrons (turn 1, " in page.text
    assert "Grey, beside it: turn 0, copper." in page.text


def test_a_world_without_targets_has_images_but_no_belief(write_run: WriteRun, header: Header, look: Look) -> None:
    bare = replace(header, card=replace(header.card, world="measured", targets=(), times_s=(), cells=1, extent_nm=64.0))
    page = write(write_run([look(0), look(1)], bare), Report(world="measured", targets={}))
    assert "asks for no quantity that has a map" in page.text
    assert 'aria-label="HAADF image of turn 0 with 1 features marked"' in page.source


def test_turns_that_ran_nothing_are_told(write_run: WriteRun, make_record: Callable[..., Record]) -> None:
    refusal = "fov_nm = 900 refused (range): limit 10..512"
    page = write(write_run([(make_record(turn, None, failure=refusal), None) for turn in range(3)]))
    assert f"turns 0, 1, 2: {refusal}" in page.text
    assert "3: 3 that ran nothing" in page.text


def test_a_watched_run_tells_its_events_in_one_line(write_run: WriteRun, header: Header, look: Look) -> None:
    record, seen = look(0)
    event = FrameEvent(kind="lost_signal", epoch=1, frame=5, time_s=0.5, value=0.1, limit=0.2)
    turns = [(replace(record, events=(event, event), aborted=True), seen), look(1)]
    assert "Events" not in write(write_run(turns, name="plain")).text
    watched = replace(header, config=replace(header.config, watch=WatchChoice()))
    page = write(write_run(turns, watched, "watched"))
    assert "2 x lost signal in 0 frames watched; 1 ended an acquisition early; 0 frames were saved" in page.text
    assert "was aborted" not in page.text


def test_a_killed_run_is_shown_as_far_as_it_goes(whole_run: Path, claims: Report) -> None:
    log = whole_run / LOG_NAME
    log.write_bytes(log.read_bytes()[:-300])
    page = write(whole_run, claims)
    assert page.headings == SECTIONS
    assert "cut off" in page.text
    assert "No spectrum was taken." in page.text  # it was the turn that is lost
    assert "stopped, interrupted, or still going on" in page.text


def test_lost_arrays_leave_a_sentence(whole_run: Path) -> None:
    for path in (whole_run / "arrays").iterdir():
        path.unlink()
    page = write(whole_run)
    assert "No image was taken, or none can be read." in page.text
    assert "No spectrum was taken." in page.text
    assert "are lost" in page.text


def test_a_lost_header_leaves_turns_and_problems(whole_run: Path) -> None:
    log = whole_run / LOG_NAME
    log.write_bytes(log.read_bytes().split(b"\n", 1)[1])
    page = write(whole_run)
    assert "the header is missing" in page.text
    assert "All 8 turns" in page.text


def test_a_folder_without_a_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is this the folder of a run"):
        write_report(tmp_path, tmp_path / "report.html", None, None)


def test_the_score_stands_beside_the_others_best_first(whole_run: Path) -> None:
    scores = Scores(policy="bayes", by_policy={"raster": 0.125, "bayes": 0.375}, by_target={"count": -0.0625})
    page = write(whole_run, scores=scores)
    assert "S = +0.375" in page.text
    assert page.text.index("bayes (this run)+0.375") < page.text.index("raster+0.125")
    assert "Count-0.062" in page.text


def test_predicted_information_stands_beside_what_came(whole_run: Path, claims: Report) -> None:
    page = write(whole_run, claims, Scores(policy="bayes", by_policy={"bayes": 0.375}, by_target={}))
    # Four cells from sd 0.5 to 0.2 at scale 2: (4 * 0.5 - 4 * 0.2) / (2 sqrt(pi)).
    assert "Expected by the claims: +0.339. Scored: +0.375." in page.text


@pytest.mark.slow
def test_a_browser_shows_it_without_asking_for_anything(whole_run: Path, claims: Report, tmp_path: Path) -> None:
    chromium = which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium to open the page with")
    source = write(whole_run, claims).source
    probe = tmp_path / "probe.html"
    probe.write_text(source.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --window-size=500,900 --dump-dom"
    )
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", probe.as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"fetched (\d+), wider by (-?\d+), pictures (\d+)</pre>", shown)
    assert found is not None
    assert [int(number) for number in found.groups()] == [0, 0, source.count("<svg")]
