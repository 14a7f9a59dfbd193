"""Growth constants from tracks that follow the law: right, honest, and unmoved by mergers."""

import numpy as np
import pytest

from agent.perception.kinetics import APPARENT_NM, LAG_S, REACTION_NM, Growth, History, driver, driver_s, grow

RATE, COUPLING = (1.65, 0.65), (1.2, 0.62)


def histories(rng, rate, coupling, *, reaction=4.0, tracks=40, images=12, noise=0.01, exposed=200.0):
    """Tracks seen together in images, growing by the law; half of the places are exposed, the others are not."""
    time_s = np.linspace(60.0, 600.0, images)
    made = []
    for i in range(tracks):
        level = exposed if i % 2 else 0.0
        drive, radical = driver_s(time_s), level * (time_s / 600.0) ** 2
        born = rng.uniform(0.0, 0.6) * drive[-1]
        square = (1.0 + reaction) ** 2 + rate * (drive + coupling * radical - born)
        use = square > (6.0 + reaction) ** 2
        radius = np.sqrt(square[use]) - reaction
        sd = np.maximum(noise * radius, 0.1)
        made.append(
            History(drive[use], radical[use], radius + sd * rng.standard_normal(use.sum()), sd, np.flatnonzero(use))
        )
    return made


def test_driver_lags_and_its_integral_is_its_integral() -> None:
    time_s = np.linspace(0.0, 200.0, 4001)
    summed = np.concatenate([[0.0], np.cumsum(np.diff(time_s) * [driver(t) for t in 0.5 * (time_s[1:] + time_s[:-1])])])
    assert driver_s(time_s) == pytest.approx(summed, abs=1e-3)
    assert driver_s(-5.0) == 0.0
    assert driver_s(600.0) == pytest.approx(600.0 - LAG_S)


def test_constants_are_found_honestly_whatever_limits_growth() -> None:
    z = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rate, coupling, reaction = rng.uniform(1.0, 2.5), rng.uniform(0.6, 2.0), rng.uniform(0.0, 12.0)
        growth = grow(histories(rng, rate, coupling, reaction=reaction), RATE, COUPLING)
        z.append([(growth.rate[0] - rate) / growth.rate[1], (growth.coupling[0] - coupling) / growth.coupling[1]])
        assert growth.reaction_nm == pytest.approx(reaction, abs=0.5 + 0.15 * reaction)
        assert growth.rate[1] < 0.1 * rate
        assert growth.coupling[1] < 0.3
    # Sds hold what real images add, which these have not.
    assert (np.std(z, axis=0) < 1.1).all()
    assert (np.abs(np.mean(z, axis=0)) < 0.5).all()


def test_without_tracks_the_prior_stays() -> None:
    growth = grow([], RATE, COUPLING)
    assert growth.rate == pytest.approx(RATE, rel=0.05)
    assert growth.coupling == pytest.approx(COUPLING, rel=0.05)
    assert growth.reaction_nm == pytest.approx(REACTION_NM[0])


def test_without_exposure_coupling_stays_unknown() -> None:
    growth = grow(histories(np.random.default_rng(1), 1.7, 1.0, exposed=0.0), RATE, COUPLING)
    assert growth.coupling[1] > 0.85 * COUPLING[1]


def test_mergers_do_not_count_as_growth() -> None:
    rng = np.random.default_rng(2)
    plain = histories(rng, 1.5, 1.0, tracks=60)
    merged = []
    for i, h in enumerate(plain):
        radius, half = h.radius_nm.copy(), h.radius_nm.size // 2
        if i % 2 == 0 and radius.size > 4:
            # What is larger at once grows on by the law.
            square = (radius[half:] + 4.0) ** 2 - (radius[half] + 4.0) ** 2
            radius[half:] = np.sqrt(((radius[half] ** 3 + 20.0**3) ** (1 / 3) + 4.0) ** 2 + square) - 4.0
        merged.append(History(h.driver_s, h.radical_s, radius, h.sd_nm, h.image))
    assert grow(merged, RATE, COUPLING).rate[0] == pytest.approx(1.5, abs=0.12)


def test_errors_of_whole_images_are_not_taken_for_coupling() -> None:
    rng = np.random.default_rng(3)
    off = []
    for _ in range(12):
        common = 1.0 + 0.01 * rng.standard_normal(12)
        wrong = [
            History(h.driver_s, h.radical_s, h.radius_nm * common[h.image], h.sd_nm, h.image)
            for h in histories(rng, 1.6, 1.2, noise=0.005)
        ]
        growth = grow(wrong, RATE, COUPLING)
        off.append((growth.coupling[0] - 1.2) / growth.coupling[1])
    assert np.std(off) < 1.3


def test_squares_are_those_that_grow_evenly() -> None:
    growth = Growth((1.5, 0.1), (1.0, 0.1), reaction_nm=4.0)
    later = growth.radius_nm(growth.square(np.array([5.0])) + 1.5 * 100.0)
    assert (later[0] ** 2 - 25.0) / 1.5 + 2 * 4.0 * (later[0] - 5.0) / 1.5 == pytest.approx(100.0)
    assert growth.radius_nm(np.array([0.0])) == pytest.approx(1.0)


def test_debris_that_was_believed_does_not_count() -> None:
    rng = np.random.default_rng(4)
    tracks, time_s = histories(rng, 1.2, 1.0), np.linspace(400.0, 600.0, 30)
    bead = History(driver_s(time_s), np.linspace(0.0, 120.0, 30), 19.0 + 0.2 * rng.standard_normal(30),
                   np.full(30, 0.2), np.arange(30) % 12)  # fmt: skip
    plain, with_bead = (grow(each, RATE, COUPLING) for each in (tracks, [*tracks, bead]))
    assert with_bead.rate[0] == pytest.approx(plain.rate[0], abs=0.2 * plain.rate[1])
    assert with_bead.reaction_nm == pytest.approx(plain.reaction_nm, abs=0.2)


def test_what_looks_like_attachment_is_taken_off_the_rate() -> None:
    # Growth at typical radii is what was seen: K / (r + a) stays as it is while a is less by what it looks larger.
    off_nm, sd_nm = APPARENT_NM
    growth = Growth((1.5, 0.05), (1.0, 0.1), reaction_nm=5.0, typical_nm=15.0)
    mean, sd = growth.diffusive()
    assert mean / (20.0 - off_nm) == pytest.approx(1.5 / 20.0)
    assert sd == pytest.approx(np.hypot(0.05, sd_nm * 1.5 / 20.0))
    assert Growth((1.5, 0.05), (1.0, 0.1)).diffusive() == (1.5, 0.05)
