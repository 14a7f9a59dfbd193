"""Whole runs as a user meets them: in process, over the bridge, killed, resumed, misconfigured."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.reading import compare, open_run

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "in_situ_growth" / "config.toml"
IN_PROCESS = ("--set", "instrument.kind=twin", "--set", "policy.name=raster")
OVER_THE_WIRE = ("--set", "policy.name=raster")
IN_BAYES = ("--set", "instrument.kind=twin", "--seed", "7")
STOPPED = ("asked", "stopped", "refused")


def adaptem(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error::UserWarning", "-m", "agent.cli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    # Where the tests themselves run in the background, an interrupt would be ignored by all that they start.
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def finished(*arguments: str | Path) -> tuple[int, str, str]:
    process = adaptem(*arguments)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def until_turns(folder: Path, turns: int, timeout_s: float = 60.0) -> None:
    log = folder / "events.jsonl"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if log.exists() and log.read_bytes().count(b"\n") > turns:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {turns} turns within {timeout_s} s")


def until_gone(process: Path) -> None:
    """Wait until a process, by its folder under /proc, has ended; nobody may have asked for its status yet."""
    deadline = time.monotonic() + 10.0
    with contextlib.suppress(FileNotFoundError):
        while (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "short"
    status, out, err = finished("run", CONFIG, "--out", folder, "--turns", "8", "--seed", "7", *OVER_THE_WIRE)
    assert status == 0, err
    assert "score of raster on seed 7" in out
    assert "report.html" in out
    return folder


def test_a_run_leaves_record_claims_and_report(short_run: Path) -> None:
    run = open_run(short_run)
    assert [record.turn for record in run.records] == list(range(8))
    assert not run.problems
    assert (short_run / "report.json").stat().st_size > 1000
    assert "<html" in (short_run / "report.html").read_text(encoding="utf-8")[:200]


def test_the_same_seed_gives_the_same_record_in_process_and_over_the_wire_under_load(
    short_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        status, _, err = finished("run", CONFIG, "--out", folder, "--turns", "8", "--seed", "7", *OVER_THE_WIRE)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert status == 0, err
    assert compare(open_run(short_run), open_run(folder)) == []
    inside = tmp_path / "inside"
    status, _, err = finished("run", CONFIG, "--out", inside, "--turns", "8", "--seed", "7", *IN_PROCESS)
    assert status == 0, err
    percepts = [[r.percept for r in open_run(f).records] for f in (short_run, inside)]
    assert percepts[0] == percepts[1]


def test_replay_finds_nothing_wrong(short_run: Path) -> None:
    status, out, err = finished("replay", short_run)
    assert status == 0, out + err
    assert "8 turns, 0 problems" in out


def test_an_existing_folder_is_refused(short_run: Path) -> None:
    before = sorted(short_run.rglob("*"))
    status, _, err = finished("run", CONFIG, "--out", short_run, *IN_PROCESS)
    assert status == 2
    assert "exists already" in err
    assert sorted(short_run.rglob("*")) == before


def test_a_bad_config_tells_all_errors_and_starts_nothing(tmp_path: Path) -> None:
    bad = ("--set", "budget.electrons=-1", "--set", "limits.ranges.C10_nm.low=9e9", "--set", "goal.colour=1")
    status, _, err = finished("run", CONFIG, "--out", tmp_path / "none", *bad)
    assert status == 2
    for path in ("budget.electrons", "limits.ranges.C10_nm", "goal.colour"):
        assert path in err
    assert not (tmp_path / "none").exists()


def test_an_endpoint_that_does_not_answer_is_told_in_two_seconds(tmp_path: Path) -> None:
    begun = time.monotonic()
    silent = ("--set", "instrument.endpoint=tcp://127.0.0.1:9", *OVER_THE_WIRE)
    status, _, err = finished("run", CONFIG, "--out", tmp_path / "none", "--turns", "2", *silent)
    imports_s = 20.0
    assert status == 3
    assert "127.0.0.1:9" in err
    assert time.monotonic() - begun < 2.0 + imports_s


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run whose agent was killed by SIGKILL after a few turns."""
    folder = tmp_path / "killed"
    process = adaptem("run", CONFIG, "--out", folder, "--turns", "25", "--seed", "8", *OVER_THE_WIRE)
    until_turns(folder, 6)
    process.kill()
    process.communicate(timeout=10)
    return folder


def test_a_killed_run_is_whole_and_goes_on(killed: Path) -> None:
    run = open_run(killed)
    done = len(run.records)
    assert done >= 6
    assert [record.turn for record in run.records] == list(range(done))
    server = Path("/proc") / (killed / "endpoint").read_text().split()[1]
    assert server.exists()
    status, _, err = finished("run", "--resume", killed)
    assert status == 0, err
    run = open_run(killed)
    assert not run.problems
    assert [record.turn for record in run.records] == list(range(25))
    assert all(not record.failure for record in run.records)
    until_gone(server)
    assert not (killed / "endpoint").exists()


def test_a_killed_run_goes_on_without_its_server(killed: Path) -> None:
    pid = int((killed / "endpoint").read_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    until_gone(Path("/proc") / str(pid))
    status, _, err = finished("run", "--resume", killed)
    assert status == 0, err
    run = open_run(killed)
    assert [record.turn for record in run.records] == list(range(25))
    assert all(not record.failure for record in run.records)


def test_a_run_cut_off_between_turns_ends_in_the_same_claims(short_run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(short_run, cut)
    # Without a journal nobody knows of the turns that are cut off, so they have not been.
    shutil.rmtree(cut / "journal")
    lines = (cut / "events.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "events.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:100])
    (cut / "report.json").unlink()
    status, _, err = finished("run", "--resume", cut)
    assert status == 0, err
    assert len(open_run(cut).records) == 8
    assert (cut / "report.json").read_bytes() == (short_run / "report.json").read_bytes()


def test_a_lost_server_is_told_in_two_seconds_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "lost"
    process = adaptem("run", CONFIG, "--out", folder, "--turns", "200", "--seed", "9", *OVER_THE_WIRE)
    until_turns(folder, 4)
    found = subprocess.run(["pgrep", "-f", f"serve twin {folder}"], capture_output=True, text=True, check=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    begun = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 3
    assert "lost" in err
    assert time.monotonic() - begun < 2.0 + 1.0
    run = open_run(folder)
    assert [record.turn for record in run.records] == list(range(len(run.records)))
    failures = [record.failure for record in run.records]
    assert not any(failures[:-1])
    # Lost in a command, or between two: then no turn had begun that could say so.
    assert "Unreachable" in failures[-1] or not failures[-1]


def test_a_run_that_could_not_begin_leaves_no_folder(tmp_path: Path) -> None:
    silent = ("--set", "instrument.endpoint=tcp://127.0.0.1:9", *OVER_THE_WIRE)
    status, _, err = finished("run", CONFIG, "--out", tmp_path / "none", *silent)
    assert status == 3, err
    assert not (tmp_path / "none").exists()


def test_a_resumed_run_refuses_what_it_would_not_hear(short_run: Path) -> None:
    status, _, err = finished("run", CONFIG, "--resume", short_run, "--turns", "9", "--seed", "0", "--approve")
    assert status == 2
    assert "--resume takes no config, --turns, --seed, --approve: the run holds its own" in err


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "interrupted"
    process = adaptem("run", CONFIG, "--out", folder, "--turns", "200", "--seed", "9", *OVER_THE_WIRE)
    until_turns(folder, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 4
    assert f"adaptem run --resume {folder}" in err
    assert "Traceback" not in err
    assert not open_run(folder).problems


def test_raster_gets_no_more_turns_than_a_run_that_a_person_stopped(tmp_path: Path) -> None:
    process = adaptem("run", CONFIG, "--out", tmp_path / "asked", "--approve", *IN_BAYES, stdin=subprocess.PIPE)
    out, err = process.communicate("a\nq\n", timeout=100)
    assert process.returncode == 4, err
    assert "raster, same seed, 2 turns too: " in out


def test_what_people_did_is_kept_and_a_change_of_it_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    process = adaptem("run", CONFIG, "--out", folder, "--approve", *IN_PROCESS, "--seed", "7", stdin=subprocess.PIPE)
    _, err = process.communicate("a\nr 2\nm dwell_s=3e-6\na\nq\n", timeout=100)
    assert process.returncode == 4, err
    status, out, err = finished("audit", folder)
    assert (status, err) == (0, "")
    told = [line.split()[2] for line in out.splitlines()[:-1]]
    runs = ["executing", "done"]
    assert told == ["asked", "lease", "approved", *runs, "asked", "refused", "asked", "edited", *runs, *STOPPED]
    assert "turn 1    operator at terminal: too much dose" in out
    log = folder / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"too much dose", b"seen already"))
    status, out, _ = finished("audit", folder)
    assert status == 1
    assert "! audit.jsonl: line 7 is not what was written there: its hash does not follow" in out


def test_a_report_that_cannot_be_written_is_told_in_one_line(short_run: Path, tmp_path: Path) -> None:
    status, _, err = finished("report", short_run, "--out", tmp_path / "none" / "report.html")
    assert status == 2
    assert err == f"adaptem: {tmp_path / 'none' / 'report.html'}: No such file or directory\n"


def test_a_served_twin_takes_one_run_after_another(tmp_path: Path) -> None:
    server = adaptem("serve", "twin", CONFIG, "--endpoint", f"ipc://{tmp_path}/twin", "--seed", "7")
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == f"ready ipc://{tmp_path}/twin\n"
        served = ("--turns", "2", "--set", f"instrument.endpoint=ipc://{tmp_path}/twin", *OVER_THE_WIRE)
        for name, seed in (("first", 7), ("second", 8)):
            status, out, err = finished("run", CONFIG, "--out", tmp_path / name, "--seed", str(seed), *served)
            assert status == 0, err
            # What is there is the specimen of seed 7: the truth of another seed is that of another one.
            assert ("score of raster on seed 7" in out) == (seed == 7)
            assert ("no score: the instrument holds growth-" in out) == (seed == 8)
            assert (tmp_path / name / "scores.json").exists() == (seed == 7)
    finally:
        server.terminate()
        server.communicate(timeout=10)
    first, second = (open_run(tmp_path / name) for name in ("first", "second"))
    assert [record.failure for record in (*first.records, *second.records)] == [""] * 4
    assert second.records[0].start_s >= first.records[-1].end_s
    assert second.records[0].end_s > second.records[0].start_s


def test_a_reader_that_has_seen_enough_is_no_error(short_run: Path) -> None:
    process = adaptem("replay", short_run)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as complaints:
        assert complaints.read() == ""
    assert process.wait(timeout=60) == 0


def test_replay_and_report_of_a_torn_record_read_what_is_whole_and_say_what_is_missing(
    short_run: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(short_run, torn)
    (images,) = (torn / "arrays").glob("HAADF*")
    os.truncate(images, images.stat().st_size * 6 // 10)
    (torn / "report.json").write_text("{")
    status, out, err = finished("replay", torn)
    assert status == 1, err
    assert "its end is cut off; the arrays of" in out
    assert "perception was checked up to here only" in out
    assert "8 turns, 2 problems" in out
    status, _, err = finished("report", torn)
    assert status == 2
    assert str(torn / "report.json") in err
    (torn / "report.json").unlink()
    assert finished("report", torn)[0] == 0
    page = (torn / "report.html").read_text(encoding="utf-8")
    assert "its end is cut off" in page
    assert "No image was taken, or none can be read." not in page
