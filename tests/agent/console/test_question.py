from collections.abc import Callable
from typing import get_args

import pytest

from agent.console.question import NEXT, approved, choice_of, moved, seen, with_edited
from agent.console.words import Choice, Conflict, NotFound, Question, State
from hardware_bridge.messages import Command


@pytest.fixture
def make_choice(make_command: Callable[..., Command]) -> Callable[..., Choice]:
    def choice(name: str, *edits: str) -> Choice:
        return Choice(
            command=make_command(name), does=name, reason=f"because of {name}", proposer="survey", information=0.1,
            information_sd=0.0, electrons=1e5, fluence_e_per_A2=1.0, time_s=0.5, x_nm=0.0, y_nm=0.0, width_nm=256.0,
            height_nm=256.0, edits=edits,
        )  # fmt: skip

    return choice


@pytest.fixture
def question(make_choice: Callable[..., Choice]) -> Question:
    return Question(
        id="q", revision=3, state="proposed", turn=1, why="every decision is asked", time_left_s=1.0,
        electrons_left=1.0, choices=(make_choice("best"), make_choice("second")),
    )  # fmt: skip


def test_every_state_has_its_followers() -> None:
    assert set(NEXT) == set(get_args(State))


@pytest.mark.parametrize("before", get_args(State))
@pytest.mark.parametrize("after", get_args(State))
def test_states_follow_the_drawing(question: Question, before: State, after: State) -> None:
    drawn = {
        ("proposed", "proposed"), ("proposed", "approved"), ("proposed", "edited"), ("proposed", "refused"),
        ("proposed", "expired"), ("approved", "executing"), ("edited", "executing"), ("approved", "expired"),
        ("edited", "expired"), ("executing", "done"),
        ("approved", "proposed"), ("edited", "proposed"), ("refused", "proposed"),
    }  # fmt: skip
    at = Question(**{name: getattr(question, name) for name in question.__struct_fields__} | {"state": before})
    if (before, after) in drawn:
        moving = moved(at, after, "ada", "why not")
        assert (moving.state, moving.revision, moving.by, moving.reason) == (after, 4, "ada", "why not")
    else:
        with pytest.raises(Conflict, match=f"is {before}: it cannot be {after} any more"):
            moved(at, after)


def test_what_was_seen_must_be_what_is_asked(question: Question) -> None:
    seen(question, 3)
    with pytest.raises(Conflict, match="revision = 2 of question q: it has revision 3 now"):
        seen(question, 2)
    with pytest.raises(Conflict, match="question q is refused by ada: too late"):
        seen(moved(question, "refused", "ada"), 4)


def test_a_choice_of_another_number(question: Question) -> None:
    assert choice_of(question, 1).does == "second"
    for number in (-1, 2):
        with pytest.raises(NotFound, match=r"its choices are 0\.\.1"):
            choice_of(question, number)


def test_the_best_an_alternative_and_an_edit(question: Question, make_choice: Callable[..., Choice]) -> None:
    assert approved(question, 0, "ada").reason == "because of best"
    assert approved(question, 1, "ada").reason == "alternative 1: because of second"
    edited = with_edited(question, make_choice("mine", "dwell_s 1 -> 2"))
    again = with_edited(edited, make_choice("other", "dwell_s 1 -> 3"))
    assert [choice.does for choice in again.choices] == ["best", "second", "other"]
    assert (again.state, again.revision) == ("proposed", 5)
    decided = approved(again, 2, "ada")
    assert (decided.state, decided.chosen, decided.reason) == ("edited", 2, "dwell_s 1 -> 3")
