"""What the lines about images look at."""

from experiments.benchmarks import twin_images


def test_the_field_holds_the_particles_it_promises():
    cells = twin_images.worlds(2, "cpu")
    assert (cells.world.radius_nm > 0).sum(dim=1).tolist() == [twin_images.PARTICLES] * 2
    copper = cells.project([twin_images.scan(512.0, 64)] * 2)[:, 0]
    assert (copper.amax(dim=(1, 2)) > 20.0).all()
