"""What follows a run: its score beside raster's for the same seed and dose, and the report that one would show."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO, TypeVar

import msgspec
from msgspec.structs import replace

from agent import assemble
from agent.config import PolicyChoice
from agent.episode import play
from agent.eventlog import RecordError
from agent.notify import Occasion, tell
from agent.report import Scores, write_report
from agent.run import REPORT_JSON, Finished
from hardware_bridge.report import Report
from hardware_bridge.words import Word

WordT = TypeVar("WordT", bound=Word)

RASTER = "raster"
SCORES_JSON = "scores.json"
PAGE = "report.html"


def conclude(finished: Finished, output: TextIO) -> None:
    """Score a finished run where the world has a truth, write its report, and say both here and afar."""
    header, said = finished.header, []
    unknown = assemble.unknown_truth(header.capabilities, header.card, header.seed)
    scores = None if unknown else _scores(finished)
    if scores is not None:
        path = finished.folder / SCORES_JSON
        path.write_bytes(msgspec.json.format(msgspec.json.encode(scores), indent=1) + b"\n")
        said.append(_spoken(scores, finished))
    elif unknown:
        said.append(unknown)
    said.append(f"report: {rewrite(finished.folder, None)}")
    print("\n".join(said), file=output, flush=True)
    occasion: Occasion = "stopped" if finished.stopped else "ended"
    subject = f"adaptem: {finished.folder.name} {'was stopped' if finished.stopped else 'has ended'}"
    for problem in (*finished.untold, *tell(header.config.notify, occasion, subject, "\n".join(said))):
        print(problem, file=output, flush=True)


def rewrite(folder: Path, out: Path | None) -> Path:
    """Write the HTML report of a recorded run, with the claims and scores that lie beside its record.

    Raises:
        RecordError: the folder holds no run, or its claims or scores are damaged.
    """
    claims, scores = _beside(folder / REPORT_JSON, Report), _beside(folder / SCORES_JSON, Scores)
    return write_report(folder, out or folder / PAGE, claims, scores)


def _beside(path: Path, kind: type[WordT]) -> WordT | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind) if path.exists() else None
    except msgspec.DecodeError as error:
        raise RecordError(f"{path}: damaged: {error}; without this file the report can be written") from None


def _scores(finished: Finished) -> Scores | None:
    header = finished.header
    scored = assemble.scored(finished.report, header.card, header.seed)
    if scored is None:
        return None
    total, parts = scored
    by_policy = {header.config.policy.name: total}
    if header.config.policy.name != RASTER:
        budget = replace(header.config.budget, turns=_turns(finished))
        raster = replace(
            header.config, policy=PolicyChoice(name=RASTER, settings=header.config.settings_of(RASTER)), budget=budget
        )
        by_policy[RASTER] = play(raster, header.seed, 1.0).score
    return Scores(policy=header.config.policy.name, by_policy=by_policy, by_target=parts)


def _turns(finished: Finished) -> int | None:
    """How many turns another policy gets beside this one: no more than it had, where it was not let to its end."""
    return max(finished.turns, 1) if finished.stopped else finished.header.config.budget.turns


def _spoken(scores: Scores, finished: Finished) -> str:
    turns, own = _turns(finished), scores.by_policy[scores.policy]
    alike = "same seed and dose" if turns is None else f"same seed, {turns} turns too"
    others = "".join(
        f"; {name}, {alike}: {score:+.3f}" for name, score in scores.by_policy.items() if name != scores.policy
    )
    return f"score of {scores.policy} on seed {finished.header.seed}: S = {own:+.3f}{others}"


__all__ = ["RecordError", "conclude", "rewrite"]
