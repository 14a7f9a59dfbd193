"""How a question goes from state to state; nothing else moves one.

proposed --edit--> proposed          a new revision, with one more choice
    |--approve---> approved --+
    |              edited  ---+--> executing --> done
    |--refuse----> refused    |
    `--time-out--> expired <--+   what was approved cannot run any more

What was approved, edited or refused is proposed again where it is taken back before the loop has seen it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from agent.console.words import Choice, Conflict, NotFound, Question, State

NEXT: Mapping[State, frozenset[State]] = {
    "proposed": frozenset({"proposed", "approved", "edited", "refused", "expired"}),
    "approved": frozenset({"executing", "expired", "proposed"}),
    "edited": frozenset({"executing", "expired", "proposed"}),
    "executing": frozenset({"done"}),
    "refused": frozenset({"proposed"}),
    "expired": frozenset(),
    "done": frozenset(),
}


def moved(question: Question, state: State, by: str = "", reason: str = "") -> Question:
    """The next revision of a question, in a state that may follow its own; what is not given stays.

    Raises:
        Conflict: the question is in a state that this one cannot follow.
    """
    if state not in NEXT[question.state]:
        who = f" by {question.by}" if question.by else ""
        raise Conflict(f"question {question.id} is {question.state}{who}: it cannot be {state} any more")
    return replace(
        question,
        state=state,
        revision=question.revision + 1,
        by=by or question.by,
        reason=reason or question.reason,
    )


def seen(question: Question, revision: int) -> None:
    """Check that whoever answers has seen what is asked now.

    Raises:
        Conflict: the question is decided, or has another revision by now.
    """
    if question.state != "proposed":
        raise Conflict(f"question {question.id} is {question.state} by {question.by}: too late")
    if revision != question.revision:
        raise Conflict(f"revision = {revision} of question {question.id}: it has revision {question.revision} now")


def choice_of(question: Question, number: int) -> Choice:
    """The choice of a number.

    Raises:
        NotFound: there is none.
    """
    if not 0 <= number < len(question.choices):
        last = len(question.choices) - 1
        raise NotFound(f"choice = {number} of question {question.id}: its choices are 0..{last}")
    return question.choices[number]


def with_edited(question: Question, choice: Choice) -> Question:
    """The question with an edited choice as its last; one that was edited before is replaced."""
    proposed = tuple(before for before in question.choices if not before.edits)
    return replace(moved(question, "proposed"), choices=(*proposed, choice))


def approved(question: Question, number: int, by: str) -> Question:
    """The question with one of its choices approved.

    Raises:
        Conflict, NotFound: as ``moved`` and ``choice_of``.
    """
    choice = choice_of(question, number)
    if choice.edits:
        return replace(moved(question, "edited", by, "; ".join(choice.edits)), chosen=number)
    reason = choice.reason if number == 0 else f"alternative {number}: {choice.reason}"
    return replace(moved(question, "approved", by, reason[:2000]), chosen=number)


def undone(question: Question) -> Question:
    """The question with its answer taken back, or without its edited choice.

    Raises:
        Conflict: nothing was done to it that can be taken back.
    """
    if question.state == "proposed":
        proposed = tuple(choice for choice in question.choices if not choice.edits)
        if proposed == question.choices:
            raise Conflict(f"question {question.id}: there is nothing to take back")
        return replace(moved(question, "proposed"), choices=proposed)
    return replace(moved(question, "proposed"), chosen=None, by="", reason="")
