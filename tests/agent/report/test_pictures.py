"""Pictures show what is there: circles where the particles are, bars as long as they say, curves through the values."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Rectangle
from msgspec.structs import replace
from PIL import Image

from agent.eventlog import Header
from agent.reading import open_run
from agent.record import Record
from agent.report import curves, gathered, images, maps, spectra, tables
from agent.report.gathered import Look
from agent.report.poster import main
from agent.report.style import ORANGE, SKY, figure, measured, scientific, tick
from hardware_bridge.geometry import pixel_to_specimen
from hardware_bridge.messages import Acquire
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Estimate, Particle, Report

MakeLook = Callable[..., tuple[Record, Observation]]
WriteRun = Callable[..., Path]


@pytest.mark.parametrize("rotation_deg", [0.0, 30.0])
def test_circles_lie_where_the_pixels_are(look: MakeLook, rotation_deg: float) -> None:
    record, seen = look(0, x_nm=300.0, y_nm=-40.0)
    assert record.percept is not None
    go = replace(record.state.go, scan_rotation_deg=rotation_deg)
    acquire = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=32, pixels_y=32, dwell_s=1e-6)
    pixels = [(4.0, 20.0), (27.5, 3.0)]
    points = [pixel_to_specimen((300.0, -40.0), acquire, rotation_deg, pixel) for pixel in pixels]
    found = tuple(
        Particle(
            track=n, x_nm=x, y_nm=y, radius_nm=16.0, x_sd_nm=0.1, y_sd_nm=0.1, radius_sd_nm=0.1, snr=9.0, real=real
        )
        for n, ((x, y), real) in enumerate(zip(points, (0.9, 0.2), strict=True))
    )
    record = replace(record, state=replace(record.state, go=go), percept=replace(record.percept, particles=found))
    assert record.percept is not None
    axes = figure(3.0, 3.0).add_subplot()
    images.micrograph(axes, Look(record, record.percept, 0.0), seen)
    circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
    for circle, (row, column) in zip(circles, pixels, strict=True):
        assert circle.center == pytest.approx((column, row))
        assert circle.radius == pytest.approx(2.0)  # 16 nm at 8 nm a pixel
    assert [to_hex(circle.get_edgecolor()) for circle in circles] == [SKY, ORANGE]
    (bar,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [text.get_text() for text in axes.texts] == ["50 nm"]
    assert bar.get_width() == pytest.approx(50.0 / 8.0)


def test_repeated_looks_at_one_place_stay_visible(write_run: WriteRun, header: Header, look: MakeLook) -> None:
    seen = gathered.looks(open_run(write_run([look(0), look(1), look(2, x_nm=500.0), look(3, mode="EELS")])))
    axes = figure(3.0, 3.0).add_subplot()
    maps.visits(axes, seen, header)
    *fields, _ = [patch for patch in axes.patches if isinstance(patch, Rectangle)]  # the last is the specimen's edge
    assert [f.get_width() for f in fields] == pytest.approx([256.0, 256.0 * (1 - 0.024), 256.0])
    for field, x_nm in zip(fields, (0.0, 0.0, 500.0), strict=True):
        assert field.get_x() + field.get_width() / 2 == pytest.approx(x_nm)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["EELS (1)", "HAADF (3)"]


def test_belief_is_that_of_the_last_time(card: Card) -> None:
    twice = replace(card, times_s=(300.0, 600.0))
    assert maps.at_end(twice, tuple(float(n) for n in range(8))).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_a_course_is_the_mean_over_cells_with_the_typical_sd() -> None:
    means, sds = curves.cell_average((1.0, 3.0, 10.0, 20.0), (3.0, 4.0, 1.0, 1.0), 2)
    assert means.tolist() == [2.0, 15.0]
    assert sds == pytest.approx([np.sqrt(12.5), 1.0])


def test_a_spectrum_is_summed_over_its_positions(write_run: WriteRun, look: MakeLook) -> None:
    taken, seen = look(0, mode="EELS")
    ((chosen, read),) = spectra.chosen(open_run(write_run([(taken, seen)])))
    energy, counts = spectra.summed(read)
    assert seen.data is not None
    assert chosen.record.turn == 0
    assert counts == pytest.approx(np.asarray(seen.data, dtype=np.float64).sum(axis=(0, 1)))
    assert (energy[0], energy[-1]) == (400.0, 526.0)


def test_copper_is_shown_beside_what_is_none(write_run: WriteRun, look: MakeLook) -> None:
    turns = [
        look(n, mode="EELS", quality={"electrons": q}, estimates={"copper_probability": Estimate(value=p, sd=0.1)})
        for n, (q, p) in enumerate([(5.0, 0.9), (9.0, 0.8), (1.0, 0.1), (2.0, 0.2)])
    ]
    shown = [k for k, _ in spectra.chosen(open_run(write_run(turns)))]
    assert [k.record.turn for k in shown] == [1, 3]
    assert [spectra.name(k) for k in shown] == ["turn 1, copper", "turn 3, no copper"]


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (5334.2, 1236.0, "5300 ± 1200"),
        (1.2345, 0.0641, "1.234 ± 0.064"),
        (-0.5, 2.0, "-0.5 ± 2.0"),
        (3.0, 0.0, "3 ± 0"),
    ],
)
def test_numbers_are_given_as_well_as_they_are_known(value: float, sd: float, text: str) -> None:
    assert measured(value, sd) == text


def test_powers_of_ten_are_written_by_hand() -> None:
    assert scientific(3.848e8) == "3.85·10⁸"
    assert scientific(1.2e-12, 1) == "1.2·10⁻¹²"
    assert [tick(value) for value in (0.1, 10.0, 1e5, 2e-4)] == ["0.1", "10", "10⁵", "2·10⁻⁴"]


def test_the_lines_that_open_the_data_work(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tables.OPENING.format(arrays=json.dumps(f"{whole_run.name}/arrays/*.hspy"))
    with open_run(whole_run) as run:
        assert all(line in tables.data(run) for line in ("import hyperspy.api as hs", "print(signals)"))
    script = tmp_path / "open_data.py"
    script.write_text(lines)
    monkeypatch.chdir(whole_run.parent)
    signals = runpy.run_path(str(script))["signals"]
    assert sorted(signal.data.shape for signal in signals) == [(1, 4, 4, 64), (7, 32, 32)]
    assert "EELS" in capsys.readouterr().out


def test_the_poster_is_one_wide_picture(
    whole_run: Path, claims: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poster.png"
    assert main([str(whole_run), str(out)]) == 1  # nothing was claimed yet
    assert "report.json" in capsys.readouterr().err
    (whole_run / "report.json").write_text(json.dumps({"world": claims.world, "targets": {"count": _plain(claims)}}))
    assert main([str(whole_run), str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size == (1600, 700)
    assert main([]) == 2


def _plain(claims: Report) -> dict[str, list[float]]:
    return {"mean": list(claims.targets["count"].mean), "sd": list(claims.targets["count"].sd)}
