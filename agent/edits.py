"""How a person reads and edits a command: one sentence out, ``key=value`` in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.config import toml_value
from agent.decoding import decode_table, nearest
from hardware_bridge.cost import fluence_e_per_A2, predict
from hardware_bridge.geometry import Point, field_centre_nm, merged, stage_for
from hardware_bridge.messages import Acquire, Capabilities, Command, Go, Holder, InstrumentState, Optics

GROUPS: dict[str, type[msgspec.Struct]] = {
    "go": Go,
    "set.optics": Optics,
    "set.holder": Holder,
    "acquire": Acquire,
}
PATHS = {name: f"{group}.{name}" for group, kind in GROUPS.items() for name in kind.__struct_fields__}


class EditErrors(ValueError):
    """An edit that makes no valid command: every complaint, a line each."""


def edited(command: Command, text: str) -> Command:
    """The command with fields set from ``key=value ...``; a key is ``acquire.dwell_s`` or just ``dwell_s``.

    Values are TOML, or ``none`` for a field that is left as it is. The result has an id of its own.

    Raises:
        EditErrors: everything that is wrong with the edit.
    """
    table: dict[str, Any] = msgspec.to_builtins(command)
    errors = []
    for word in text.split():
        key, equals, value = word.partition("=")
        path = key if key in PATHS.values() else PATHS.get(key)
        if path is None or not equals or not value:
            hint = "expected KEY=VALUE" if path is not None else f"no such field{nearest(key, PATHS)}"
            errors.append(f"{word}: {hint}")
            continue
        node = table
        *groups, name = path.split(".")
        for group in groups:
            node[group] = node = node[group] or {}
        node[name] = None if value.lower() == "none" else toml_value(value)
    changed, complaints = decode_table(Command, table, "")
    if not text.split():
        errors.append("nothing to change: expected KEY=VALUE, such as dwell_s=4e-6")
    if changed is None or errors:
        raise EditErrors("\n".join(errors + complaints))
    suffix = "-edited"
    return replace(changed, id=command.id[: 64 - len(suffix)] + suffix)


def towards(command: Command, point_nm: Point, state: InstrumentState, capabilities: Capabilities) -> str:
    """The edit that brings the middle of a command's field to a point of the specimen frame, by the stage."""
    before = merged(state.go, command.go)
    x_nm, y_nm = field_centre_nm(before, capabilities)
    move_x_nm, move_y_nm = stage_for((point_nm[0] - x_nm, point_nm[1] - y_nm), capabilities)
    stage_x_nm, stage_y_nm = (before.stage_x_nm or 0.0) + move_x_nm, (before.stage_y_nm or 0.0) + move_y_nm
    return f"stage_x_nm={stage_x_nm:.2f} stage_y_nm={stage_y_nm:.2f}"


def differences(before: Command, after: Command) -> Iterator[str]:
    """Say what an edit changed, field by field."""
    old, new = dict(_leaves(msgspec.to_builtins(before))), dict(_leaves(msgspec.to_builtins(after)))
    for path in sorted(old.keys() | new.keys()):
        if path != "id" and old.get(path) != new.get(path):
            yield f"{path} {_spoken(old.get(path))} -> {_spoken(new.get(path))}"


def sentence(command: Command, state: InstrumentState, capabilities: Capabilities) -> str:
    """One line that says what a command does, and where."""
    x_nm, y_nm = field_centre_nm(merged(state.go, command.go), capabilities)
    where = f"at ({round(x_nm)}, {round(y_nm)}) nm"
    settings = [
        f"{name} {value:.4g}"
        for group in (command.set.optics, command.set.holder)
        for name, value in msgspec.structs.asdict(group).items()
        if value is not None
    ]
    suffix = f", {', '.join(settings)}" if settings else ""
    acquire = command.acquire
    if acquire is None:
        return f"go {where} without an exposure{suffix}"
    frames = f"{acquire.max_frames} x " if acquire.max_frames > 1 else ""
    size = f"{acquire.pixels_x} x {acquire.pixels_y} pixels over {acquire.fov_nm:.4g} nm"
    return f"{frames}{acquire.mode} {size} {where}, dwell {acquire.dwell_s * 1e6:g} us{suffix}"


def cost(command: Command, state: InstrumentState, capabilities: Capabilities) -> str:
    """Predicted dose and time of a command, in words."""
    price = predict(command, state, capabilities)
    fluence = fluence_e_per_A2(command, state, capabilities)
    return f"dose {price.electrons:.3g} electrons ({fluence:.3g} e/A^2), {price.time_s:.2g} s"


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path, tree


def _spoken(value: object) -> str:
    return "unset" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
