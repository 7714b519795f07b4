import pytest

from jitorch.errors import ValueRangeError
from jitorch.nn.sizes import repeated


def test_one_number_or_one_for_each_axis():
    assert repeated(3, 2, "stride") == (3, 3)
    assert repeated([1, 2], 2, "stride") == (1, 2)
    with pytest.raises(ValueRangeError, match="stride"):
        repeated((1, 2, 3), 2, "stride")
