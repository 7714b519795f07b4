import pytest

from benchmarks.growth import SERIES, exponent, points, text


def test_series_have_sizes_in_order():
    for series in SERIES:
        sizes = [size for size, _ in points(series)]
        assert len(sizes) >= 6
        assert sizes == sorted(sizes)
    assert points("elements")[-1][0] == 10**8
    assert points("nodes")[-1][0] == 1000


def test_exponent():
    assert exponent({str(n): 3.0 * n**2 for n in (1, 10, 100, 1000)}) == pytest.approx(2.0)
    assert exponent({"1": 1.0, "10": 5.0}) is None


def test_text():
    found = {"nodes": {"jitorch": {"1": 0.01, "10": 0.1, "100": 1.0}}}
    assert text(found) == "nodes, jitorch: 1: 0.01 s  10: 0.1 s  100: 1 s  (exponent 1.00)"
