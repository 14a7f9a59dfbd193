from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.edits import EditErrors, cost, differences, edited, sentence
from hardware_bridge.cost import ELEMENTARY_CHARGE_C
from hardware_bridge.messages import Capabilities, Command, InstrumentState

Make = Callable[..., Command]


def test_fields_are_set_by_name_or_by_path(make_command: Make) -> None:
    command = edited(make_command(), "dwell_s=4e-6 go.stage_x_nm=12 C10_nm=none mode=EELS")
    assert command.acquire is not None
    assert (command.acquire.dwell_s, command.acquire.mode) == (4e-6, "EELS")
    assert command.go.stage_x_nm == 12.0
    assert command.set.optics.C10_nm is None
    assert command.id == "c0-edited"


def test_differences_name_what_changed(make_command: Make) -> None:
    command = make_command()
    assert list(differences(command, edited(command, "dwell_s=4e-6 stage_x_nm=12"))) == [
        "acquire.dwell_s 2e-06 -> 4e-06", "go.stage_x_nm unset -> 12",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("dwel_s=1", ["dwel_s=1: no such field, did you mean dwell_s?"]),
        ("dwell_s", ["dwell_s: expected KEY=VALUE"]),
        ("dwell_s= id=3", ["dwell_s=: expected KEY=VALUE", "id=3: no such field"]),
        ("dwell_s=x pixels_x=-1", ['acquire.dwell_s: expected float, got str "x"', "acquire.pixels_x: expected int"]),
        ("stage_x_nm=nan", ["go.stage_x_nm: expected"]),
        ("  ", ["nothing to change"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_an_edit_is_told(make_command: Make, text: str, complaints: list[str]) -> None:
    with pytest.raises(EditErrors) as caught:
        edited(make_command(), text)
    for complaint in complaints:
        assert complaint in str(caught.value)


def test_a_long_id_stays_a_name(make_command: Make) -> None:
    assert len(edited(make_command("x" * 64), "dwell_s=4e-6").id) == 64


def test_an_edit_can_add_an_exposure_only_whole(make_command: Make) -> None:
    moved = replace(make_command(), acquire=None)
    with pytest.raises(EditErrors, match=r"acquire\.mode: missing"):
        edited(moved, "dwell_s=1e-6")
    whole = edited(moved, "mode=HAADF fov_nm=64 pixels_x=8 pixels_y=8 dwell_s=1e-6")
    assert whole.acquire is not None


def test_a_sentence_says_what_and_where(
    make_command: Make, make_state: Callable[..., InstrumentState], capabilities: Capabilities
) -> None:
    assert "at (0, 0) nm" in sentence(make_command(beam_shift_y_nm=-0.2), make_state(0.0), capabilities)
    said = sentence(make_command(stage_x_nm=100.0, beam_shift_y_nm=-7.0), make_state(0.0), capabilities)
    assert said == "HAADF 32 x 32 pixels over 256 nm at (100, -7) nm, dwell 2 us, C10_nm -20"


def test_cost_is_current_times_time(
    make_command: Make, make_state: Callable[..., InstrumentState], capabilities: Capabilities
) -> None:
    # 50 pA for 32 rows of 32 pixels of 2 us and a flyback of 10 us; pixels of 8 nm.
    on_s = 32 * (32 * 2e-6 + 1e-5)
    electrons = 50e-12 * on_s / ELEMENTARY_CHARGE_C
    said = cost(make_command(), make_state(0.0), capabilities)
    assert said == f"dose {electrons:.3g} electrons ({electrons / 2560.0**2:.3g} e/A^2), {0.05 + on_s:.2g} s"
