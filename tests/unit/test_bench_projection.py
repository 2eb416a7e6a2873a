"""What the bench says that projecting takes."""

from types import SimpleNamespace

from bench.projection import Watch


def test_work_too_short_for_the_kernels_count_took_something():
    """Or a smoke run on a quick machine would divide by it."""
    nobody = SimpleNamespace(servers=SimpleNamespace(by_variable={}))
    assert min(Watch(nobody, []).stop()) > 0
