"""The benchmark of events runs through server and client, and its page says what came."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.reading import open_run
from experiments.benchmarks import event
from experiments.benchmarks.event import Reaction, react, reactions, table


def test_a_spot_leads_to_a_command_through_server_and_client(tmp_path: Path) -> None:
    found = react(tmp_path / "few", 3, "HAADF", pixels=64)
    assert len(found) >= 3
    assert all(reaction.ms > 0.0 for reaction in found)
    assert [reaction.late_frames for reaction in found] == [0] * len(found)
    with open_run(tmp_path / "few" / "run") as run:
        assert run.problems == []
        # Where the machine is so busy that the bridge blanks for want of a beat, a film ends without an event.
        eventful = [record for record in run.records if record.events]
        assert len(eventful) == 3
        for record in eventful:
            assert [told.kind for told in record.events] == ["change"]
            assert record.aborted
            assert record.percept is not None
            assert record.percept.mode == "HAADF"
        assert {clip.what for clip in run.clips} == {"table", "frames"}


def test_what_was_not_seen_is_no_result(tmp_path: Path) -> None:
    react(tmp_path / "one", 1, pixels=64)
    log = (tmp_path / "one" / "driver.log").read_text().splitlines()
    with open_run(tmp_path / "one" / "run") as run:
        assert reactions(log, run.records)[0].late_frames == 0
        blind = [replace(record, events=(), aborted=False) for record in run.records]
        with pytest.raises(ValueError, match=r"the spot came in frame \d+ and was not seen"):
            reactions(log, blind)


def test_the_page_says_whether_the_bar_is_met() -> None:
    found = [Reaction(ms, late, {"write": 0.004}) for ms, late in ((10.0, 0), (20.0, 1), (90.0, -3))]
    page = table({"frames": found, "slow frames": [Reaction(60.0, 0, {})]}, 256)
    assert "| frames | 2 | 1 | 1 | 15.0 | 19.9 | 20.0 | met |" in page
    assert "| slow frames | 1 | 1 | 0 | 60.0 | 60.0 | 60.0 | missed |" in page


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        event.main(["--help"])
    assert "python -m experiments.benchmarks.event --events" in capsys.readouterr().out
