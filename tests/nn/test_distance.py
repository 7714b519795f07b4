import pytest

from tests.nn.oracle import numbers
from tests.nn.test_loss import check


@pytest.mark.parametrize("options", [{}, {"p": 1.0}, {"p": 3.0, "eps": 1e-3, "keepdim": True}], ids=str)
@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((4, 3), (3,)), ((3,), (3,))], ids=str)
def test_pairwise_distance(options, shapes):
    check("PairwiseDistance", numbers(*shapes[0]), numbers(*shapes[1], seed=1), **options)


@pytest.mark.parametrize("options", [{}, {"dim": -1}, {"dim": 0, "eps": 0.01}], ids=str)
def test_cosine_similarity(options):
    check("CosineSimilarity", numbers(4, 3), numbers(4, 3, seed=1), **options)
