import numpy as np
import pytest

from benchmarks import models
from benchmarks.peers import PEERS
from benchmarks.peers.base import Skip
from benchmarks.peers.numpy_peer import NumPy
from benchmarks.torchlike import TorchLike
from benchmarks.workloads import BY_NAME, MAKERS, WORKLOADS, named, select


def test_names_are_different_and_kinds_have_makers():
    assert len(BY_NAME) == len({w.name for w in BY_NAME.values()})
    assert {w.kind for w in BY_NAME.values()} | {named("S.add/float32/16").kind} == set(MAKERS)
    assert {w.subject for w in WORKLOADS} <= set(PEERS)


def test_data_is_the_same_each_time():
    first, second = (BY_NAME["W4.mlp_b1"].data() for _ in range(2))
    np.testing.assert_array_equal(first["x"], second["x"])
    assert all((second["w"][name] == value).all() for name, value in first["w"].items())
    assert first["x"].dtype == np.float32


def test_select_by_prefix():
    assert select("") == WORKLOADS
    assert [w.name for w in select("W4,W9.tiny")] == ["W4.mlp_b1", "W4.mlp_b8", "W4.mlp_b64", "W9.tiny_compiled_call"]
    assert select("W99") == []


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_jitorch_builds_every_kind(kind):
    assert callable(getattr(TorchLike, f"build_{kind}"))


def test_weights_fit_the_models():
    import jitorch

    for name, row in (("resnet18", "W5.resnet18_b1"), ("encoder", "W6.encoder_b1"), ("gpt", "W6.gpt_b1")):
        weights = BY_NAME[row].data()["w"]
        model = models.loaded(jitorch, name, weights)
        counted = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
        assert counted == set(weights)


def test_the_decoded_stream_ends_after_54_tokens():
    (tokens,) = NumPy().build(BY_NAME["W7.greedy_decode"]).outputs()
    assert len(tokens) == 54 and tokens[-1] == 0 and len(set(tokens.tolist())) > 20


def test_numpy_says_what_it_cannot_do():
    with pytest.raises(Skip, match="no convolution"):
        NumPy().build(BY_NAME["W5.resnet18_b1"])
