"""Whole models: exported, run at several sizes, and looked at for the operators a reader expects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from jitorch_onnx import OPSETS, export
from jitorch_onnx.check import Runner

import jitorch
from jitorch import nn
from jitorch.nn import functional as F


def floats(*shape: int, seed: int = 0) -> jitorch.Tensor:
    return jitorch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def operators(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


class Classifier(nn.Module):
    """A small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3)
        )
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, images: jitorch.Tensor) -> jitorch.Tensor:
        return self.head(self.features(images).flatten(1))


class Block(nn.Module):
    """One layer of a transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: jitorch.Tensor) -> jitorch.Tensor:
        batch, length, width = x.shape
        projected = self.project(self.before(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(-2, -1) / math.sqrt(width // self.heads)
        later = jitorch.ones(length, length, dtype=jitorch.bool).triu(1)
        weights = F.softmax(scores.masked_fill(later, -math.inf), dim=-1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.between(x))))


class Language(nn.Module):
    """Tokens to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(17, 8), nn.Embedding(12, 8)
        self.block, self.norm = Block(8, 2), nn.LayerNorm(8)

    def forward(self, tokens: jitorch.Tensor) -> jitorch.Tensor:
        x = self.tokens(tokens) + self.places(jitorch.arange(tokens.shape[1]))
        return self.norm(self.block(x)) @ self.tokens.weight.T


def test_classifier_keeps_its_layers_whole():
    model = export(
        Classifier().eval(), floats(4, 1, 8, 8), input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}}, check_inputs=[floats(1, 1, 8, 8), floats(9, 1, 8, 8)],
    )  # fmt: skip
    assert operators(model) == ["Conv", "BatchNormalization", "Relu", "MaxPool", "Reshape", "Gemm"]
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["logits"]
    batch, *rest = model.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert [d.dim_value for d in rest] == [1, 8, 8]


def test_a_jitted_model_is_exported_like_the_model():
    model = Classifier().eval()
    plain = export(model, floats(2, 1, 8, 8))
    jitted = export(jitorch.jit(model), floats(2, 1, 8, 8))
    assert operators(plain) == operators(jitted)
    assert [i.name for i in plain.graph.initializer] == [i.name for i in jitted.graph.initializer]


def test_parameters_have_their_state_dict_names():
    model = Classifier().eval()
    exported = export(model, floats(2, 1, 8, 8))
    named = {i.name for i in exported.graph.initializer} & set(model.state_dict())
    assert named == {name for name in model.state_dict() if "num_batches" not in name}


@pytest.mark.parametrize("opset", OPSETS)
def test_classifier_in_every_opset(opset):
    model = export(Classifier().eval(), floats(2, 1, 8, 8), opset_version=opset, dynamic_axes={"images": [0]})
    assert model.opset_import[0].version == opset


@pytest.mark.parametrize("opset", OPSETS)
def test_language_model_in_every_opset(opset):
    tokens = jitorch.from_numpy(np.random.default_rng(0).integers(0, 17, size=(2, 5)))
    longer = jitorch.from_numpy(np.random.default_rng(1).integers(0, 17, size=(3, 7)))
    model = export(
        Language().eval(), tokens, opset_version=opset, dynamic_axes={"tokens": {0: "batch", 1: "length"}},
        check_inputs=[longer],
    )  # fmt: skip
    assert ("LayerNormalization" in operators(model)) == (opset >= 17)
    assert ("Gelu" in operators(model)) == (opset >= 20)


def test_autoencoder_with_transposed_convolution():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    export(model.eval(), floats(2, 2, 8, 8), dynamic_axes={"input": {0: "batch"}}, check_inputs=[floats(5, 2, 8, 8)])


def test_image_of_any_height_and_width():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    axes = {"input": {0: "n", 2: "height", 3: "width"}}
    with pytest.warns(UserWarning, match="valid only where"):
        export(model.eval(), floats(2, 1, 12, 9), dynamic_axes=axes, check_inputs=[floats(1, 1, 21, 16)])


def test_recurrence_written_as_a_loop():
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.state = nn.Linear(3, 5), nn.Linear(5, 5)

        def forward(self, x: jitorch.Tensor) -> jitorch.Tensor:
            state = jitorch.zeros(x.shape[0], 5)
            for t in range(4):
                state = jitorch.tanh(self.input(x[:, t]) + self.state(state))
            return state

    export(Cell(), floats(2, 4, 3), dynamic_axes={"x": {0: "batch"}}, check_inputs=[floats(6, 4, 3)])


def test_a_training_loss_of_two_arguments():
    model = Classifier().eval()

    def loss(images, labels):
        return F.cross_entropy(model(images), labels)

    labels = jitorch.from_numpy(np.array([1, 7, 3]))
    exported = export(loss, (floats(3, 1, 8, 8), labels), dynamic_axes={"images": {0: "n"}, "labels": {0: "n"}})
    assert exported.graph.output[0].type.tensor_type.shape.dim == []


def test_gradients_are_a_function_like_any_other():
    def norm_of_gradient(x, w):
        y = jitorch.tanh(x @ w)
        # d sum(y**2) / dx, written out
        return ((2 * y * (1 - y * y)) @ w.T).pow(2).sum()

    export(norm_of_gradient, (floats(3, 4), floats(4, 2)))


def test_onnxruntime_gives_what_jitorch_gives():
    model = Classifier().eval()
    exported = export(model, floats(4, 1, 8, 8), dynamic_axes={"images": {0: "batch"}})
    x = floats(11, 1, 8, 8, seed=3)
    (got,) = Runner(exported).run({"images": x.numpy()})
    with jitorch.no_grad():
        np.testing.assert_allclose(got, model(x).numpy(), atol=1e-5)
