import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, ConfigErrors, dump, from_table, load
from hardware_bridge.messages import Range

TOML = """
[goal]
question = "How fast do the particles grow?"
world = "growth"

[instrument]
kind = "twin"
seed = 7

[limits]
max_step_nm = 2000
dose_map = { x = { low = -1100, high = 1100 }, y = { low = -1100, high = 1100 } }
dose_cell_nm = 64
max_electrons = 1e10
max_fluence_e_per_A2 = 500
max_dose_rate_e_per_A2_s = 1e6
max_detector_e_per_s = { HAADF = 1e9, EELS = 1e9 }
on_loss = { flow_nl_per_s = "off" }

[limits.ranges]
stage_x_nm = { low = -1000, high = 1000 }
stage_y_nm = { low = -1000, high = 1000 }
C10_nm = { low = -1500.0, high = 1500.0 }
dwell_s = { low = 1e-7, high = 0.1 }

[budget]
electrons = 1e9
duration_s = 600

[policy]
name = "raster"
settings = { dwell_s = 2e-6, order = "snake", offsets = [1, 2.5], fast = true }

[review.envelope]
C10_nm = { low = -100, high = 100 }
"""


def table() -> dict[str, Any]:
    return tomllib.loads(TOML)


def complaints(broken: dict[str, Any], *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigErrors) as caught:
        from_table(broken, overrides)
    assert all(error in str(caught.value) for error in caught.value.errors)
    return caught.value.errors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(TOML)
    return file


def test_a_good_file_is_read(path: Path) -> None:
    config = load(path)
    assert config.limits.ranges["C10_nm"] == Range(low=-1500.0, high=1500.0)
    assert config.budget.duration_s == 600.0
    assert isinstance(config.budget.duration_s, float)
    assert config.policy.settings == {"dwell_s": 2e-6, "order": "snake", "offsets": (1.0, 2.5), "fast": True}
    assert config.instrument.time == "stepped"
    assert config.limits.on_loss == {"flow_nl_per_s": "off"}


def test_what_is_dumped_is_read_back_equal(path: Path, tmp_path: Path) -> None:
    config = load(path)
    copy = tmp_path / "config.json"
    copy.write_bytes(dump(config))
    assert load(copy) == config


def test_overrides_are_toml_values_or_words(path: Path) -> None:
    config = load(
        path,
        ["budget.electrons=3e8", "instrument.kind=bridge", 'instrument.endpoint="tcp://127.0.0.1:5555"',
         "budget.turns = 20", "limits.ranges.stage_z_nm={low=-5, high=5}", "policy.settings.order=spiral"],
    )  # fmt: skip
    assert config.budget.electrons == 3e8
    assert config.budget.turns == 20
    assert config.instrument.kind == "bridge"
    assert config.instrument.endpoint == "tcp://127.0.0.1:5555"
    assert config.limits.ranges["stage_z_nm"] == Range(low=-5.0, high=5.0)
    assert config.policy.settings["order"] == "spiral"


def test_all_errors_are_told_at_once_each_with_its_path() -> None:
    broken = table()
    broken["limits"]["ranges"]["C10_nm"]["low"] = "x"
    broken["limits"]["ranges"]["C10"] = {"low": 0, "high": 1}
    broken["limits"]["ranges"]["stage_x_nm"] = {"low": 5, "high": -5}
    broken["limits"]["max_detector_e_per_s"]["HADF"] = 1.0
    broken["instrument"]["sed"] = 3
    broken["instrument"]["kind"] = "real"
    broken["budget"]["electrons"] = -1
    broken["budget"]["duration_s"] = float("nan")
    broken["policy"]["name"] = "a policy"
    broken["policies"] = {}
    del broken["goal"]["question"]
    found = complaints(broken)
    for expected in (
        'limits.ranges.C10_nm.low: expected float, got str "x"',
        "limits.ranges.stage_x_nm: low 5 is above high -5",
        "instrument.sed: unknown field, did you mean seed?",
        'instrument.kind: expected one of twin, bridge, got str "real"',
        "budget.electrons: expected float > 0.0, got int -1",
        "budget.duration_s: expected float",
        "policy.name: expected a name of letters",
        "policies: unknown field, did you mean policy?",
        "goal.question: missing",
        "limits.max_detector_e_per_s.HADF: expected one of",
    ):
        assert any(error.startswith(expected) for error in found), (expected, found)
    assert len(found) == 10


def test_a_range_for_no_setting_is_an_error_with_the_nearest_name() -> None:
    broken = table()
    broken["limits"]["ranges"]["C10"] = {"low": 0, "high": 1}
    assert complaints(broken) == ("limits.ranges.C10: no such setting, did you mean C10_nm?",)


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        ("budget", "electrons", 2e10, "budget.electrons: 2e+10 is above limits.max_electrons = 1e+10"),
        ("budget", "turns", 0, "budget.turns: expected int >= 1, got int 0"),
        ("budget", "turns", 2.5, "budget.turns: expected int | null, got float 2.5"),
        ("instrument", "endpoint", "tcp://h:1", "instrument.endpoint: only a bridge has one"),
        ("instrument", "keys", "agent.key", "instrument.keys: only an endpoint needs them"),
        ("instrument", "speed", 2.0, "instrument.speed: only real time has one"),
        ("instrument", "seed", True, "instrument.seed: expected int, got bool true"),
        ("review", "envelope", {"C10_nm": {"low": -9e9, "high": 0}}, "review.envelope.C10_nm: -9e+09..0 passes limits"),
        ("review", "envelope", {"C12_nm": {"low": 0, "high": 0}}, "review.envelope.C12_nm: not in limits.ranges"),
        ("review", "timeout_s", 0, "review.timeout_s: expected float > 0.0, got int 0"),
        (
            "limits",
            "on_loss",
            {"temprature_K": "ramp"},
            "limits.on_loss.temprature_K: no such setting, did you mean temp",
        ),
        (
            "limits",
            "slew",
            {"bias": {"step": 1, "per_s": 1}},
            "limits.slew.bias: no such setting, did you mean bias_V?",
        ),
        ("limits", "keep_out", [{"x": 3}], "limits.keep_out[0].x: expected a table, got int 3"),
        ("limits", "keep_out", 3, "limits.keep_out: expected a list, got int 3"),
        ("policy", "settings", {"when": {"a": 1}}, "policy.settings.when: expected"),
    ],
)
def test_values_out_of_range_are_told(section: str, field: str, value: object, expected: str) -> None:
    broken = table()
    broken[section][field] = value
    found = complaints(broken)
    assert found[0].startswith(expected), found


def test_errors_between_sections_show_beside_others() -> None:
    broken = table()
    broken["goal"]["world"] = 3
    broken["budget"]["electrons"] = 2e10
    assert len(complaints(broken)) == 2


def test_a_bridge_on_another_machine_needs_keys() -> None:
    away = ["instrument.kind=bridge", "instrument.endpoint=tcp://192.0.2.7:5570"]
    told = "instrument.keys: tcp://192.0.2.7:5570 is not on this machine: the file of this client's keys is needed"
    assert complaints(table(), *away) == (told,)
    assert from_table(table(), [*away, "instrument.keys=agent.key"]).instrument.keys == "agent.key"


@pytest.mark.parametrize("override", ["budget.electrons", "=3", "a..b=1", "goal.question.word=1"])
def test_bad_overrides_are_told(override: str) -> None:
    assert complaints(table(), override)[0].startswith(f"--set {override}: ")


def test_an_override_changes_no_table_of_the_caller() -> None:
    given = table()
    from_table(given, ["budget.electrons=1"])
    assert given == table()


def test_a_file_that_is_not_there_or_not_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        load(tmp_path / "no.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[goal\n")
    with pytest.raises(ConfigErrors, match="not TOML"):
        load(bad)
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigErrors, match="not TOML"):
        load(bad)


def test_every_section_is_in_the_tree() -> None:
    assert Config.__struct_fields__ == (
        "goal", "instrument", "limits", "budget", "perception", "policy", "rivals", "references", "review",
        "record", "watch", "park", "notify",
    )  # fmt: skip
