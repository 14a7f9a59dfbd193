"""Every check of the table holds, and fails once its mistake is made; golden files are what their codes say today."""

from dataclasses import replace

import pytest

from experiments.validation import __main__ as command
from experiments.validation import references
from experiments.validation.areas import AREAS
from experiments.validation.check import Check, Mutation

# Minutes on a machine that does other things too.
SLOW = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMED = [
    pytest.param(check, id=f"{area}: {check.name}", marks=SLOW if check.slow else [])
    for area, checks in AREAS.items()
    for check in checks
]


@pytest.mark.parametrize("check", NAMED)
def test_check_holds_and_catches_its_mutation(check: Check) -> None:
    achieved = check.achieved()
    assert check.holds(achieved) != bool(check.unmet), f"{achieved:g} beside {check.tolerance:g}"
    assert not check.holds(check.mutated())


def test_names_are_distinct() -> None:
    names = [check.name for checks in AREAS.values() for check in checks]
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize("name", references.CODES)
def test_golden_file_is_what_its_code_gives(name: str) -> None:
    if not references.installed(name):
        pytest.skip(f"{references.CODES[name]} is not installed: pip install '.[reference]'")
    assert references.difference(name) < references.RELATIVE


def test_a_mistake_is_undone_even_after_an_error() -> None:
    from digital_twin import optics

    before = optics.wavelength_nm
    mutation = Mutation("none", optics, "wavelength_nm", lambda it: lambda energy: 2 * it(energy))

    def fall() -> None:
        with mutation.applied():
            raise RuntimeError(f"{optics.wavelength_nm(200.0) / before(200.0):g} times")

    with pytest.raises(RuntimeError, match="2 times"):
        fall()
    assert optics.wavelength_nm is before


def test_what_was_computed_with_a_mistake_is_not_remembered() -> None:
    from digital_twin import elastic

    before = elastic.annular_nm2(29, 200.0, 40.0, 180.0)
    mutation = Mutation("heavier", elastic, "REST_ENERGY_keV", lambda it: it / 2)
    with mutation.applied():
        assert elastic.annular_nm2(29, 200.0, 40.0, 180.0) > 1.1 * before
    assert elastic.annular_nm2(29, 200.0, 40.0, 180.0) == before


def test_not_a_number_does_not_hold() -> None:
    check = AREAS["optics"][0]
    assert not check.holds(float("nan"))


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RESULT", tmp_path / "RESULT.md")
    return command.RESULT


def test_the_command_renews_what_was_asked_for_and_keeps_the_rest(result, monkeypatch) -> None:
    monkeypatch.setitem(AREAS, "another", ())
    result.write_text("# stale head\n\n## another\n\nkept\n\n## gone\n\nstale\n\n## optics\n\nstale table\n")
    assert command.validate(["optics"]) == 0
    text = result.read_text()
    assert "wavelength, 60-300 kV" in text
    assert "## another\n\nkept\n" in text
    assert "stale" not in text
    assert "gone" not in text


def test_an_unknown_area_is_refused(result, capsys) -> None:
    assert command.validate(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert not result.exists()


def test_a_check_that_fails_is_told_in_the_table(result, monkeypatch) -> None:
    broken = replace(AREAS["optics"][0], name="broken", achieved=lambda: 1.0)
    admitted = replace(broken, name="admitted", unmet="nobody knows")
    monkeypatch.setitem(AREAS, "optics", (broken, admitted))
    assert command.validate(["optics"]) == 1
    assert result.read_text().count("**WRONG**") == 1
    assert "- *admitted* is not met: nobody knows\n" in result.read_text()


def test_every_check_is_in_the_written_table() -> None:
    table = command.RESULT.read_text()
    missing = [check.name for checks in AREAS.values() for check in checks if f"| {check.name} |" not in table]
    assert not missing, "run python -m experiments.validation AREA"
    assert "WRONG" not in table
