"""Settings for all tests: one thread a library, no screen, repeatable examples, and where measured data are."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Read by numpy and torch when they are first imported, here and in the processes that tests start.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["MPLBACKEND"] = "Agg"

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the wheel after all others."""
    items.sort(key=lambda item: item.get_closest_marker("wheel") is not None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured micrographs, which is not part of the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the measured data are not there: ../shared/data")
    return folder


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray head without workers, joined, whose nodes are found dead within a second or so."""
    import ray
    from ray.cluster_utils import Cluster

    from envs.workers import HEALTH

    head = {"num_cpus": 0, "_system_config": HEALTH, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=made.address, log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
