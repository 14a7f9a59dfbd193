from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
import pytest

from agent.decoding import decode_table, nearest
from hardware_bridge.words import Name, Positive, Size, Word


class Leaf(Word, frozen=True, kw_only=True):
    """A struct of plain fields."""

    size: Size
    kind: Literal["a", "b"] = "a"
    note: str | None = None


class Tree(Word, frozen=True, kw_only=True):
    """A struct of everything that can nest."""

    leaf: Leaf
    maybe: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    named: dict[Name, Leaf] = {}
    rates: dict[Literal["x", "y"], Positive] = {}
    pair: tuple[int, int] = (0, 0)


GOOD: dict[str, Any] = {
    "leaf": {"size": 3},
    "maybe": {"size": 4, "note": "n"},
    "leaves": [{"size": 1}, {"size": 2, "kind": "b"}],
    "named": {"one": {"size": 1}},
    "rates": {"x": 2},
    "pair": [1, 2],
}


def test_it_decodes_as_msgspec_does() -> None:
    assert decode_table(Tree, GOOD, "") == (msgspec.convert(GOOD, Tree), [])
    assert decode_table(Tree, {"leaf": {"size": 1}, "maybe": None}, "")[0] == Tree(leaf=Leaf(size=1))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"leaf": {"size": 0}}, "leaf.size: expected int >= 1, got int 0"),
        ({"leaf": {}}, "leaf.size: missing"),
        ({"leaf": 3}, "leaf: expected a table, got int 3"),
        ({"maybe": {"size": "x"}}, 'maybe.size: expected int, got str "x"'),
        ({"maybe": []}, "maybe: expected a table, got a list"),
        ({"leaves": [{"size": 1}, {"size": 1, "knd": 2}]}, "leaves[1].knd: unknown field, did you mean kind?"),
        ({"named": {"a b": {"size": 1}}}, 'named.a b: expected a name of letters, digits'),
        ({"named": {"one": {"size": 1, "kind": "c"}}}, 'named.one.kind: expected one of a, b, got str "c"'),
        ({"named": 1}, "named: expected a table, got int 1"),
        ({"rates": {"z": 1}}, 'rates.z: expected one of x, y, got str "z"'),
        ({"rates": {"x": -1}}, "rates.x: expected float > 0.0, got int -1"),
        ({"pair": [1]}, "pair: expected array of length 2, got a list"),
        ({"more": 1}, "more: unknown field"),
    ],
)  # fmt: skip
def test_a_complaint_has_the_path_and_the_value(change: dict[str, Any], complaint: str) -> None:
    value, errors = decode_table(Tree, {**GOOD, **change}, "")
    assert value is None
    assert len(errors) == 1
    assert errors[0].startswith(complaint)
    # What is an error here is one to msgspec too.
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**GOOD, **change}, Tree)


def test_a_table_can_lie_deeper_in_its_file() -> None:
    assert decode_table(Leaf, {"size": 0}, "policy.settings")[1] == [
        "policy.settings.size: expected int >= 1, got int 0"
    ]


def test_checks_see_what_was_good_and_complain_beside_the_others() -> None:
    def check(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if got.get("kind") == "b":
            yield "kind", "b is not had here"

    _, errors = decode_table(Leaf, {"size": 0, "kind": "b"}, "leaf", {Leaf: check})
    assert errors == ["leaf.size: expected int >= 1, got int 0", "leaf.kind: b is not had here"]


def test_nearest() -> None:
    assert nearest("dwel_s", ["dwell_s", "fov_nm"]) == ", did you mean dwell_s?"
    assert nearest("zzz", ["b", "a"]) == ", known are a, b"
    assert nearest("zzz", []) == ""
