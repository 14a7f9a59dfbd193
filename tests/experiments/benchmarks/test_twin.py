"""The benchmark of the twin runs and prints what it says."""

import pytest
import torch

from experiments.benchmarks import twin


def test_it_prints_a_line_for_each_batch(capsys):
    threads = torch.get_num_threads()
    twin.main(["--seconds", "0", "--threads", "1"])
    torch.set_num_threads(threads)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["device", "batch", "images/s", "spectrum", "images/s"]
    assert [line.split()[1] for line in lines if line.startswith("cpu")] == ["1", "16"]
    assert all(float(number) > 0.0 for line in lines for number in line.split()[2:])


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        twin.main(["--help"])
    assert "python -m experiments.benchmarks.twin --seconds" in capsys.readouterr().out


def test_the_field_holds_the_particles_it_promises():
    cells = twin.worlds(2, "cpu")
    assert (cells.world.radius_nm > 0).sum(dim=1).tolist() == [twin.PARTICLES] * 2
    copper = cells.project([twin.scan(512.0, 64)] * 2).copper_nm
    assert (copper.amax(dim=(1, 2)) > 20.0).all()
