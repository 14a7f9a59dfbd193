"""Numbers that are none, slips of units, the corners of the envelope, and a dose budget that ends: over the wire."""

import itertools
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace
from processes import wait_until

from experiments.small_column import RANGES, STATE
from hardware_bridge.client import Client
from hardware_bridge.dose import DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command, Go, Holder, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk
from hardware_bridge.safety import check
from hardware_bridge.server import Server

LOCAL = "tcp://127.0.0.1:0"


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def client(bench: Bench, tmp_path: Path) -> Iterator[Client]:
    with closing(Server(bench, LIMITS, LOCAL, tmp_path / "journal")) as server, Client(server.endpoint) as made:
        yield made


def setting(name: str, value: float) -> Command:
    """A command that sets one value, by the name of its range."""
    if name in Go.__struct_fields__:
        return Command(id="a", go=Go(**{name: value}))
    if name in Optics.__struct_fields__:
        return Command(id="a", set=Settings(optics=Optics(**{name: value})))
    if name in Holder.__struct_fields__:
        return Command(id="a", set=Settings(holder=Holder(**{name: value})))
    acquire = scan("a").acquire
    assert acquire is not None
    return Command(id="a", acquire=replace(acquire, **{name: value}))


FLOATS = sorted(name for name in RANGES if not name.startswith(("pixels", "max_f")))


@pytest.mark.parametrize("name", FLOATS)
def test_a_slip_of_units_is_refused_or_lands_inside_and_is_named(client: Client, bench: Bench, name: str) -> None:
    allowed = RANGES[name]
    for factor in (1e-12, 1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9):
        value = allowed.high / 2 * factor
        if allowed.low <= value <= allowed.high:
            continue  # such as a defocus in m: nearly none, and harmless
        with pytest.raises(Rejected) as told:
            client.submit(setting(name, value))
        assert (told.value.code, told.value.path.rpartition(".")[2]) == ("range", name)
        assert told.value.value == f"{value:g}"
        assert told.value.limit == f"{allowed.low:g}..{allowed.high:g}"
    assert not bench.seen


AXES = ("stage_x_nm", "stage_y_nm", "stage_z_nm", "tilt_alpha_deg")


@pytest.mark.parametrize("signs", list(itertools.product((-1, 1), repeat=4)), ids=str)
def test_every_corner_of_the_coupled_envelope_is_inside_and_the_next_number_is_not(signs: tuple[int, ...]) -> None:
    limits = replace(LIMITS, keep_out=(), max_step_nm=1e9)
    highest = (1000.0, 1000.0, 5000.0 - 30 * limits.z_loss_per_deg_nm, 30.0)
    corner = dict(zip(AXES, (sign * high for sign, high in zip(signs, highest, strict=True)), strict=True))
    ledger, bench = DoseLedger(limits), Bench()
    check(Command(id="a", go=Go(**corner)), limits, STATE, bench.describe(), ledger)
    for axis in AXES:
        outside = corner | {axis: math.nextafter(corner[axis], math.copysign(math.inf, corner[axis]))}
        with pytest.raises(Rejected):
            check(Command(id="a", go=Go(**outside)), limits, STATE, bench.describe(), ledger)


def test_a_budget_is_not_passed_in_mid_scan_nor_between_commands_nor_by_a_restart(tmp_path: Path) -> None:
    one = predict_charge(scan("one"), LIMITS, STATE, Bench().describe()).electrons
    limits, bench = replace(LIMITS, max_electrons=2.5 * one), Bench()
    with closing(Server(bench, limits, LOCAL, tmp_path)) as server, Client(server.endpoint) as client:
        with pytest.raises(Rejected, match="dose"):  # it would end in the middle of the third frame
            client.submit(scan("three", frames=3))
        for name in ("a", "b"):
            execute(client, scan(name), 5.0)
        with pytest.raises(Rejected, match="dose") as told:
            client.submit(scan("c"))
        assert told.value.limit == f"{2.5 * one:.6g} electrons"
        assert [command.id for command in bench.seen] == ["a", "b"]
    with (
        closing(Server(Bench(), limits, LOCAL, tmp_path)) as again,
        Client(again.endpoint) as client,
        pytest.raises(Rejected, match="dose"),
    ):
        client.submit(scan("c"))


def test_what_a_blanked_scan_did_not_use_can_be_used_and_no_more(tmp_path: Path) -> None:
    four = predict_charge(scan("four", frames=4), LIMITS, STATE, Bench().describe()).electrons
    bench = Bench(chunk_s=0.05)
    limits = replace(LIMITS, max_electrons=1.1 * four)
    with closing(Server(bench, limits, LOCAL, tmp_path)) as server, Client(server.endpoint) as client:
        client.submit(scan("four", frames=4))
        parts = client.watch(5.0)
        assert client.state().electrons_charged == pytest.approx(four)  # before it is exposed
        wait_until(lambda: isinstance(next(parts), Chunk))
        client.blank()
        list(parts)
        left = client.state().electrons_charged
        assert 0 < left < four
        execute(client, scan("again", frames=1), 5.0)
        with pytest.raises(Rejected, match="dose"):
            client.submit(scan("more", frames=4))
