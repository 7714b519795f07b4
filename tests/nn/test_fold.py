import pytest

from tests.nn.oracle import numbers
from tests.nn.test_loss import check


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": (2, 1)}], ids=str)
def test_unfold(options):
    check("Unfold", numbers(2, 3, 6, 7), kernel_size=(2, 3), **options)


@pytest.mark.parametrize(("options", "windows"), [({}, 16), ({"stride": 2, "padding": 1}, 9)], ids=str)
def test_fold(options, windows):
    check("Fold", numbers(2, 12, windows), output_size=(5, 5) if not options else (4, 4), kernel_size=2, **options)
