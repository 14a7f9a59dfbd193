"""RESULT.md: one section for each command, under a heading of its own; a command replaces its own section alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

from experiments.bridge_faults.crashes import Found
from experiments.bridge_faults.fuzz import Found as FuzzFound
from experiments.bridge_faults.kills import LANES, LOOK_S, WITHIN_NS, Run
from experiments.bridge_faults.points import FAULTS
from experiments.bridge_faults.wired import Wired

RESULT = Path(__file__).with_name("RESULT.md")
MEANINGS = {
    "malformed": "no message at all by the documents: answered Invalid",
    "stale": "of somebody without the lease, under an old token, or too late",
    "unsafe": "a command outside the ranges: answered Refused",
    "harmless": "valid, and of a kind that changes nothing",
    "may act": "still valid after the change: it may take or give back the lease, stop, or run once inside the limits",
}


def put(section: str, path: Path = RESULT) -> None:
    """Put a section where one of the same heading stands, or at the end."""
    heading = section.partition("\n")[0]
    sections = re.split(r"(?m)^(?=# )", path.read_text(encoding="utf-8"))
    headings = [old.partition("\n")[0] for old in sections]
    if heading in headings:
        sections[headings.index(heading)] = section
    else:
        sections.append(section)
    path.write_text("\n".join(old.rstrip("\n") + "\n" for old in sections if old), encoding="utf-8")


def fuzz_section(messages: int, seed: int, stepped: tuple[FuzzFound, float], wired: tuple[Wired, float]) -> str:
    """The section that tells what came of broken messages."""
    found, took_s = stepped
    sent = ", ".join(f"{count} with {how} changed" for how, count in sorted(found.messages.items()))
    outcomes = "".join(f"| {name} | {found.outcomes[name]} | {MEANINGS[name]} |\n" for name in MEANINGS)
    wrong = [*found.wrong, *wired[0].wrong]
    lines = "\n".join(f"- {line}" for line in wrong)
    return f"""# Messages that nobody should send

`python -m experiments.bridge_faults fuzz --messages {messages} --seed {seed}`: {sent};
{took_s:.0f} s, {messages / took_s:.0f} messages a second in one process: real decoding,
desk, wall, runner, guard, lease and journal, without their sockets and threads. What each message may do at most is
told by a second opinion (`judge.py`, written from the documents, not from the code). Lease, token, stop, dose, journal,
the beam's line and what reached the instrument are compared before and after each one; the beam must be blanked after
each, and charged before it opens.

{found.read} of them went the other way, to a reader of the stream: starts, chunks (raw, deflated, bursts, in a ring),
ends with readings, failures, answers. Each was refused, taken for a gap, or carried the very values that were sent.

| judged | messages | meaning |
|---|---|---|
{outcomes}
Answers: {_spoken(found.replies)}.

{found.ran} commands were still valid and ran, each once. {found.restarts} times a new bridge read the journal: every
command's end, the dose and the token were the same as before.
Through real sockets, to a server with its supervisor, by somebody without the lease: {wired[0].messages} messages,
{wired[0].answers} answers, {wired[1]:.0f} s.

## What was wrong: {len(wrong) or "nothing"}
{lines}
Found on the way, repaired, and held by a test: a name with a line's end behind it (`"a\\n"`) was taken for a name.
"""


def kills_section(runs: list[Run], seed: int, took_s: float) -> str:
    """The section that tells what came of kills, freezes and hangs."""
    wrong = [f"- {run.fault.victim}, {run.fault.point}, {run.fault.how}: {w}" for run in runs for w in run.wrong]
    rows = "".join(_row([run for run in runs if run.fault == fault]) for fault in FAULTS)
    dark_ms = _dark_ms(runs)
    in_time = sum(ms <= WITHIN_NS * 1e-6 for ms in dark_ms)
    woken = sum(run.is_woken for run in runs)
    told = [run.told_s for run in runs if run.told_s is not None]
    fates = _spoken(Counter(run.fate for run in runs))
    late_ms = max(run.seen.late_ns for run in runs) * 1e-6
    return f"""# Kills, freezes and hangs

`python -m experiments.bridge_faults kills --runs {len(runs)} --seed {seed}`: real processes, {LANES} bridges side
by side, {took_s:.0f} s. Agent or bridge waits at the point, by construction, until the signal comes. The beam's line is
read every ms by a process of its own, which knows nothing of bridge and agent; "dark" is how long after the signal it
last saw the beam on. A deadlock is a loop that hangs there with live sockets. Half of the frozen ones are woken
{LOOK_S:g} s later: a bridge when nobody is there any more, an agent when the next one holds the lease. All other
bridges are started again on the journal that their lane has written through all its crashes. Then the next agent takes
the lease and asks what became of every command so far, repeats the last one, and works.

| who, where | how | runs | dark p50, ms | p99 | max | came on again | its command was then |
|---|---|---|---|---|---|---|---|
{rows}
- Blank within 500 ms: {in_time} of {len(runs)}; p99 {_quantile(dark_ms, 0.99):.0f} ms, longest {max(dark_ms):.0f} ms.
  The observer itself was at most {late_ms:.0f} ms late.
- Came on again without a new lease: {sum(run.seen.relit for run in runs)} times, in {woken} awakenings too.
- Commands: {fates}.
  Held each time against what the driver itself wrote down: what is done was done so, what is not started never came
  there, nothing ran twice, no answer changes, all electrons that were exposed had been charged, and the fencing token
  was greater than all before.
- Clients of a dead or frozen bridge were told after {max(told, default=0.0):.2f} s at the latest.

## What was wrong: {len(wrong) or "nothing"}
{"".join(f"{line}{chr(10)}" for line in wrong)}
Found on the way, repaired, and held by tests: a bridge that was frozen after it had accepted a command, and woke up
when its agent was dead, let the beam on for up to 20 ms before it noticed. Now the lease is looked at when the beam
opens. A time stamp that was read while it was being written looked hours old: about once an hour the beam would have
been blanked for nothing. Now words are written whole.
"""


def crashes_section(found: Found, took_s: float) -> str:
    """The section that tells what came of crashes at every effect."""
    rows = "".join(
        f"| {effect} | {sum(fates.values())} | {_spoken(fates)} |\n"
        for effect in sorted({effect for effect, _ in found.fates})
        if (fates := Counter({fate: n for (at, fate), n in found.fates.items() if at == effect}))
    )
    return f"""# Crash points

`python -m experiments.bridge_faults crashes`: a script of commands (done, repeated, blanked in mid scan, refused by the
instrument, broken off by it, a move, a holder made safe after a lost lease, stopped; four clients, two lives of the
bridge, the second after a torn write) has {len(found.effects)} side effects: all that the journal does to its file,
each word on the beam's lines, each charge and refund, what the instrument is asked and what it gives, each message
sent. The script was played {found.crashes} times and crashed before each effect and after the last; where bytes were
not yet sure to be on disk, the journal was also cut at each of them, or had zeros there: {found.torn} torn journals.
{took_s:.0f} s.

Each time a new bridge read the journal. Held against what the instrument did and what clients had been told: nothing
done that was not, nothing not started that the instrument was asked, no End that had been told forgotten, no electron
exposed and not charged, no token given twice, the beam blank. Then all commands were sent once more: only what was not
started ran, and none ran twice.

| crashed before | points | its command was then |
|---|---|---|
{rows}
## What was wrong: {len(found.wrong) or "nothing"}
{"".join(f"- {line}{chr(10)}" for line in found.wrong[:100])}"""


def _row(runs: list[Run]) -> str:
    if not runs:
        return ""
    fault, dark_ms = runs[0].fault, _dark_ms(runs)
    fates = _spoken(Counter(run.fate for run in runs))
    return (
        f"| {fault.victim}: {fault.point} | {fault.how} | {len(runs)} | {_quantile(dark_ms, 0.5):.0f} "
        f"| {_quantile(dark_ms, 0.99):.0f} | {max(dark_ms):.0f} | {sum(run.seen.relit for run in runs)} | {fates} |\n"
    )


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _dark_ms(runs: list[Run]) -> list[float]:
    return [math.inf if run.seen.dark_ns is None else run.seen.dark_ns * 1e-6 for run in runs]


def _spoken(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
