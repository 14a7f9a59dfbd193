"""Every test that RESULT.md names for a fault is there."""

import re
from pathlib import Path

import pytest

from experiments.bridge_faults.page import RESULT

TESTS = Path(__file__).parents[1]
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", RESULT.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_is_there(file: str, test: str) -> None:
    (path,) = [*TESTS.glob(f"hardware_bridge/{file}"), *TESTS.glob(f"experiments/{file}")]
    assert f"def {test}(" in path.read_text(encoding="utf-8")


def test_many_are_named() -> None:
    assert len(NAMED) > 30
