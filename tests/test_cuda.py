from __future__ import annotations

import pytest

import jitorch
from jitorch import accelerator, cuda
from jitorch.errors import DeviceError


def test_programs_that_ask_stay_on_the_cpu():
    device = jitorch.device("cuda" if jitorch.cuda.is_available() else "cpu")
    assert jitorch.ones(2).to(device).device == device == jitorch.device("cpu")
    assert cuda.device_count() == accelerator.device_count() == 0
    assert accelerator.current_accelerator() is None
    assert not (cuda.is_bf16_supported() or cuda.is_initialized() or accelerator.is_available())


def test_what_has_nothing_to_do_does_nothing():
    cuda.manual_seed(1)
    cuda.manual_seed_all(1)
    cuda.empty_cache()


@pytest.mark.parametrize("name", ["synchronize", "current_device", "get_device_name", "get_device_properties"])
def test_what_needs_a_gpu_says_so(name):
    with pytest.raises(DeviceError, match="no GPU"):
        getattr(cuda, name)()


def test_set_device():
    cuda.set_device("cpu")
    with pytest.raises(DeviceError, match="cuda"):
        cuda.set_device(0)
