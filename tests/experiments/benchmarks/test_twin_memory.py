"""The memory of sixteen worlds is taken in a fresh process."""

from experiments.benchmarks import twin_memory


def test_worlds_take_memory_beyond_what_the_process_had():
    before, most = twin_memory.used()
    assert 50.0 < before < most < twin_memory.BAR_MB
