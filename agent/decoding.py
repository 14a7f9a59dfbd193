"""From plain tables to words, leaf by leaf: all that is wrong with a file is told at once, each with its path."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)
Errors = list[str]
# Given the fields of a struct that decoded well, yields (path below it, complaint).
Check = Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]

_BAD: Final = object()


def decode_table(
    kind: type[StructT], table: object, path: str, checks: Mapping[type, Check] | None = None
) -> tuple[StructT | None, Errors]:
    """Decode a table (as from TOML or JSON) into a struct; returns it, or None, and every complaint.

    ``path`` is where the table lies in its file, empty for the whole file. ``checks`` adds rules that a type cannot
    say, by struct.
    """
    errors: Errors = []
    value = _Decoder(checks or {}, errors).any(kind, table, path)
    return (None if errors else value), errors


def laid_over(
    kind: type[StructT], given: Mapping[str, Any], path: str, base: StructT | None = None
) -> tuple[StructT | None, Errors]:
    """Settings named by dotted paths (``view.fov_nm``) laid over a base, or the defaults of their kind.

    Every complaint is beside them.
    """
    tree: dict[str, Any] = msgspec.to_builtins(base or kind())
    errors = []
    for name, value in given.items():
        *branches, leaf = name.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
            if not isinstance(node, dict):
                errors.append(f"{path}.{name}: {branch} is a value, not a table")
                break
        else:
            node[leaf] = value
    settings, found = decode_table(kind, tree, path)
    return (None if errors else settings), errors + found


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the most similar known name: ``, did you mean x?``, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f", did you mean {close[0]}?"
    return f", known are {', '.join(names)}" if names else ""


class _Decoder:
    def __init__(self, checks: Mapping[type, Check], errors: Errors) -> None:
        self._checks = checks
        self._errors = errors

    def any(self, kind: Any, value: object, path: str) -> Any:
        """Decode a value of any kind; _BAD, with the complaint kept, where it cannot be."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(kind, value, path)
        if origin in (typing.Union, types.UnionType) and value is not None:
            structs = [a for a in arguments if isinstance(a, type) and issubclass(a, msgspec.Struct)]
            if structs:
                return self._struct(structs[0], value, path)
        if origin is dict:
            return self._mapping(arguments, value, path)
        if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
            return self._row(arguments[0], value, path)
        return self._leaf(kind, value, path)

    def _struct(self, kind: type[msgspec.Struct], value: object, path: str) -> Any:
        if not isinstance(value, dict):
            return self._complain(path, f"expected a table, got {_spoken(value)}")
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in value:
            if name not in fields:
                self._complain(_join(path, name), f"unknown field{nearest(name, fields)}")
        decoded: dict[str, Any] = {}
        whole = True
        for name, field in fields.items():
            if name in value:
                item = self.any(field.type, value[name], _join(path, name))
                if item is _BAD:
                    whole = False
                else:
                    decoded[name] = item
            elif field.required:
                whole = False
                self._complain(_join(path, name), "missing")
            else:
                decoded[name] = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for below, complaint in self._checks.get(kind, _no_check)(decoded):
            self._complain(_join(path, below), complaint)
        try:
            return kind(**decoded) if whole else _BAD
        except ValueError as error:  # of what its numbers are together
            return self._complain(path, str(error))

    def _mapping(self, kinds: tuple[Any, ...], value: object, path: str) -> Any:
        if not isinstance(value, dict):
            return self._complain(path, f"expected a table, got {_spoken(value)}")
        items = {
            self._leaf(kinds[0], key, _join(path, key)): self.any(kinds[1], item, _join(path, key))
            for key, item in value.items()
        }
        return _BAD if _BAD in items or any(item is _BAD for item in items.values()) else items

    def _row(self, kind: Any, value: object, path: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._complain(path, f"expected a list, got {_spoken(value)}")
        items = tuple(self.any(kind, item, f"{path}[{n}]") for n, item in enumerate(value))
        return _BAD if any(item is _BAD for item in items) else items

    def _leaf(self, kind: Any, value: object, path: str) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return self._complain(path, _expected(str(error), kind, value))

    def _complain(self, path: str, what: str) -> Any:
        self._errors.append(f"{path}: {what}" if path else what)
        return _BAD


def _no_check(_: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return iter(())


def _expected(message: str, kind: Any, value: object) -> str:
    """Say what was expected and what came, in words of the file and not of the decoder."""
    message = message.partition(" - at `")[0].partition(", got ")[0].replace("`", "")
    if "matching regex" in message:
        wanted = "expected a name of letters, digits and _ . : - (at most 64 of them)"
    elif message.startswith("Invalid enum value") and typing.get_origin(kind) is typing.Literal:
        wanted = f"expected one of {', '.join(typing.get_args(kind))}"
    else:
        wanted = message[:1].lower() + message[1:]
    return f"{wanted}, got {_spoken(value)}"


def _spoken(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    # default=str: dates and times are values of TOML but not of JSON.
    return f"{type(value).__name__} {json.dumps(value, default=str)}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
