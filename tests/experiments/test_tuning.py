"""The study of tuning: benches are what they say, the campaign goes on where it was, the page tells what was done."""

import msgspec
import numpy as np
import pytest

from agent.twins import tuning_bench
from experiments.tuning.benches import CONDITIONS, NAMES, Bench
from experiments.tuning.page import report
from experiments.tuning.study import Task, Tuning, campaign, stored, tuned

PLAIN = CONDITIONS[0]


def test_a_bench_is_that_of_the_environment():
    bench, other = Bench(3, 3, PLAIN), tuning_bench(3, NAMES[3])
    image = bench.look(np.array([5.0, -3.0, 2.0]))
    assert image.shape == (128, 128)
    assert bench.strehl() == pytest.approx(other.strehl(bench._twin.state().optics))
    assert bench.electrons == pytest.approx(16384 * 8e-6 * 100e-12 / 1.602176634e-19, rel=0.06)


@pytest.mark.parametrize("condition", CONDITIONS[1:])
def test_every_condition_changes_what_is_seen(condition):
    plain, bench = Bench(3, 3, PLAIN), Bench(3, 3, condition)
    assert not np.array_equal(plain.look(np.zeros(3)), bench.look(np.zeros(3)))
    assert bench.stated_C30_um == (10.0 if condition.startswith("Cs") else 0.0)


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match="choose one of"):
        Bench(3, 3, "windy")


def test_gpcam_without_an_interpreter_is_refused():
    with pytest.raises(ValueError, match="--gpcam"):
        tuned(Task("gpCAM", 3, PLAIN), 3)


def test_the_campaign_goes_on_where_it_was(tmp_path):
    path, task = tmp_path / "tunings.jsonl", Task("tuner", 3, PLAIN)
    done = Tuning("tuner", 3, PLAIN, 50_000, [0.1, 0.9], 2e6, 1.0)
    path.write_bytes(msgspec.json.encode(done) + b"\n")
    assert list(campaign(path, [task], [50_000], None)) == []
    assert stored(path) == [done]


@pytest.mark.slow
def test_the_tuner_needs_few_images():
    found = tuned(Task("tuner", 3, PLAIN), 50_005, most=6)
    assert found.images is not None
    assert found.strehl[-1] >= 0.8


def test_a_rival_is_played_image_by_image():
    found = tuned(Task("qLogNEI", 3, PLAIN), 50_000, most=2)
    assert len(found.strehl) == 2
    assert found.images is None


def test_the_page_counts_what_was_given_up_as_infinite():
    done = [Tuning("tuner", 3, PLAIN, seed, [0.1] * seed + [0.9 if seed < 3 else 0.2], 1e6, 2.0) for seed in (1, 2, 3)]
    row = next(line for line in report(done).splitlines() if line.startswith("| 3 |"))
    assert row == "| 3 | as assumed | tuner | 3 [2, > 4] | > 4 | 2 of 3 | 1e+06 | 0.67 |"
