"""JAX: every row under ``jax.jit``, loops as ``lax.scan`` and ``lax.while_loop``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.peers.base import TRAINING_STEPS, Case, Peer, flat_update, plain
from benchmarks.workloads import (
    DECODE_END,
    DECODE_MAX,
    ECCENTRICITY,
    ENCODER,
    GPT,
    NEWTON_TOLERANCE,
    RESNET_STAGES,
    Data,
)

gelu = partial(jax.nn.gelu, approximate=False)


def linear(w: Data, name: str, x: Any) -> Any:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def layer_norm(w: Data, name: str, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def conv(x: Any, weight: Any, stride: int, pad: int, groups: int = 1) -> Any:
    padding = [(pad, pad), (pad, pad)]
    return lax.conv_general_dilated(x, weight, (stride, stride), padding, feature_group_count=groups)


def mlp(w: Data, x: Any) -> Any:
    return linear(w, "fc3", jax.nn.relu(linear(w, "fc2", jax.nn.relu(linear(w, "fc1", x)))))


def max_pool(x: Any, size: int, stride: int, pad: int) -> Any:
    pads = [(0, 0), (0, 0), (pad, pad), (pad, pad)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, size, size), (1, 1, stride, stride), pads)


def cnn(w: Data, x: Any) -> Any:
    for name in ("conv1", "conv2"):
        x = conv(x, w[f"{name}.weight"], 1, 1) + w[f"{name}.bias"][:, None, None]
        x = max_pool(jax.nn.relu(x), 2, 2, 0)
    return linear(w, "fc2", jax.nn.relu(linear(w, "fc1", x.reshape(len(x), -1))))


def batch_norm(w: Data, name: str, x: Any) -> Any:
    scale = w[f"{name}.weight"] * lax.rsqrt(w[f"{name}.running_var"] + 1e-5)
    shift = w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale
    return x * scale[:, None, None] + shift[:, None, None]


def resnet18(w: Data, x: Any) -> Any:
    x = jax.nn.relu(batch_norm(w, "bn1", conv(x, w["conv1.weight"], 2, 3)))
    x = max_pool(x, 3, 2, 1)
    for stage, (_, first) in enumerate(RESNET_STAGES, 1):
        for block in range(2):
            place, stride = f"layer{stage}.{block}", first if block == 0 else 1
            y = jax.nn.relu(batch_norm(w, f"{place}.bn1", conv(x, w[f"{place}.conv1.weight"], stride, 1)))
            y = batch_norm(w, f"{place}.bn2", conv(y, w[f"{place}.conv2.weight"], 1, 1))
            if f"{place}.down.weight" in w:
                x = batch_norm(w, f"{place}.downbn", conv(x, w[f"{place}.down.weight"], stride, 0))
            x = jax.nn.relu(x + y)
    return linear(w, "fc", x.mean((2, 3)))


def block(w: Data, prefix: str, heads: int, causal: bool, x: Any) -> Any:
    batch, length, width = x.shape
    qkv = linear(w, f"{prefix}qkv", layer_norm(w, f"{prefix}ln1", x))
    q, k, v = jnp.moveaxis(qkv.reshape(batch, length, 3, heads, width // heads), 2, 0)
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
    x = x + linear(w, f"{prefix}proj", y.reshape(batch, length, width))
    return x + linear(w, f"{prefix}fc2", gelu(linear(w, f"{prefix}fc1", layer_norm(w, f"{prefix}ln2", x))))


def gpt(w: Data, tokens: Any) -> Any:
    x = w["tok.weight"][tokens] + w["pos.weight"][: tokens.shape[1]]
    for layer in range(GPT["layers"]):
        x = block(w, f"blocks.{layer}.", GPT["heads"], True, x)
    return linear(w, "head", layer_norm(w, "lnf", x))


def encoder(w: Data, x: Any) -> Any:
    return block(w, "", ENCODER["heads"], False, x)


MODELS = {"mlp": mlp, "cnn": cnn, "gpt": gpt}


def cell(d: Data, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """One LSTM step; gates in PyTorch's order."""
    i, f, g, o = jnp.split(x @ d["wi"].T + h @ d["wh"].T + d["b"], 4, 1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def cross_entropy(scores: Any, targets: Any) -> Any:
    scores = scores.reshape(-1, scores.shape[-1])
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), targets.reshape(-1, 1), 1).mean()


class Jax(Peer):
    """Float32 on XLA's CPU device."""

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__}

    def drop(self) -> None:
        jax.clear_caches()

    def ready(self, data: Data) -> Data:
        """Arrays of JAX; integers are int32, which is JAX's default."""
        return plain(data, jnp.asarray)

    def called(self, function: Callable[..., Any], *inputs: Any) -> Case:
        f = jax.jit(function)

        def outputs():
            result = f(*inputs)
            return [np.asarray(v) for v in (result if isinstance(result, tuple) else (result,))]

        return Case(run=lambda: jax.block_until_ready(f(*inputs)), outputs=outputs)

    def build_pointwise(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, a, b, y, c: gelu(x * a + b) * jnp.tanh(y) + c, *(d[n] for n in "xabyc"))

    def build_softmax(self, data: Data) -> Case:
        return self.called(lambda x: jax.nn.softmax(x, -1), self.ready(data)["x"])

    def build_layer_norm(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, w, b: layer_norm({"n.weight": w, "n.bias": b}, "n", x), d["x"], d["w"], d["b"])

    def build_cross_entropy(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(jax.value_and_grad(cross_entropy), d["x"], d["t"])

    def build_reduce(self, data: Data) -> Case:
        x, axis = self.ready(data)["x"], data["axis"]
        if data["op"] == "var":
            return self.called(lambda x: x.var(axis, ddof=1), x)
        return self.called((lambda x: x.sum(axis)) if data["op"] == "sum" else (lambda x: x.mean(axis)), x)

    def build_matmul(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(jnp.matmul, d["a"], d["b"])

    def build_linear_gelu(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, w, b: gelu(x @ w.T + b), d["x"], d["w"], d["b"])

    def build_conv(self, data: Data) -> Case:
        d = self.ready(data)

        def f(x, weight, bias):
            return conv(x, weight, data["stride"], data["pad"], data["groups"]) + bias[:, None, None]

        return self.called(f, d["x"], d["weight"], d["bias"])

    def model(self, function: Callable[..., Any], data: Data) -> Case:
        d = self.ready(data)
        return self.called(function, d["w"], d["x"])

    def build_mlp(self, data: Data) -> Case:
        return self.model(mlp, data)

    def build_resnet18(self, data: Data) -> Case:
        return self.model(resnet18, data)

    def build_encoder(self, data: Data) -> Case:
        return self.model(encoder, data)

    def build_gpt(self, data: Data) -> Case:
        return self.model(gpt, data)

    def build_lstm(self, data: Data) -> Case:
        def f(d):
            def step(state, x):
                h, c = cell(d, x, *state)
                return (h, c), h

            (h, c), outputs = lax.scan(step, (d["h"], d["c"]), d["x"])
            return outputs, h, c

        return self.called(f, self.ready(data))

    def build_newton(self, data: Data) -> Case:
        k = ECCENTRICITY

        def f(m):
            def body(state):
                e, _ = state
                r = e - k * jnp.sin(e) - m
                return e - r / (1 - k * jnp.cos(e)), jnp.abs(r).max()

            return lax.while_loop(lambda state: state[1] > NEWTON_TOLERANCE, body, (m, jnp.float32(jnp.inf)))[0]

        return self.called(f, self.ready(data)["m"])

    def build_decode(self, data: Data) -> Case:
        @jax.jit
        def f(d):
            def going(state):
                count, tok, *_ = state
                return (count < DECODE_MAX) & ((count == 0) | (tok[0] != DECODE_END))

            def body(state):
                count, tok, h, c, tokens = state
                h, c = cell(d, d["emb"][tok], h, c)
                tok = (h @ d["wo"].T + d["bo"]).argmax(1).astype(tok.dtype)
                return count + 1, tok, h, c, tokens.at[count].set(tok[0])

            tokens = jnp.zeros(DECODE_MAX, d["tok"].dtype)
            count, *_, tokens = lax.while_loop(going, body, (0, d["tok"], d["h"], d["c"], tokens))
            return count, tokens

        d = self.ready(data)

        def run():
            count, tokens = f(d)
            return np.asarray(tokens)[: int(count)]

        return Case(run=run, outputs=lambda: [run()])

    def build_train(self, data: Data) -> Case:
        d = self.ready(data)
        x, y, rate, adam = d["x"], d["y"], data["rate"], data["optimizer"] == "adam"
        gradient = jax.value_and_grad(lambda w: cross_entropy(MODELS[data["model"]](w, x), y))

        @partial(jax.jit, donate_argnums=(0, 1))
        def step(w, moments):
            loss, g = gradient(w)
            if not adam:
                return jax.tree.map(lambda p, g: p - rate * g, w, g), moments, loss
            count, mean, square = moments
            count = count + 1
            mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, g)
            square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, g)
            a, b = 1 - 0.9**count, 1 - 0.999**count
            w = jax.tree.map(lambda p, m, v: p - rate * (m / a) / (jnp.sqrt(v / b) + 1e-8), w, mean, square)
            return w, (count, mean, square), loss

        weights = d["w"]
        zeros = lambda: jax.tree.map(jnp.zeros_like, weights)  # noqa: E731
        state = [weights, (jnp.float32(0), zeros(), zeros()) if adam else ()]

        def run():
            state[0], state[1], loss = step(*state)
            return jax.block_until_ready(loss)

        def outputs():
            before = list(data["w"].values())
            losses = [np.asarray(run()) for _ in range(TRAINING_STEPS)]
            after = [np.asarray(state[0][name]) for name in data["w"]]
            return [np.array(losses), flat_update(before, after)]

        return Case(run=run, outputs=outputs)

    def build_add(self, data: Data) -> Case:
        d = self.ready(data)
        x, y = d["x"], d["y"]
        return Case(run=lambda: jax.block_until_ready(x + y), outputs=lambda: [np.asarray(x + y)])

    def build_add_grad(self, data: Data) -> Case:
        d = self.ready(data)
        x, y = d["x"], d["y"]
        return Case(run=lambda: jax.vjp(jnp.add, x, y)[0], outputs=lambda: [np.asarray(jax.vjp(jnp.add, x, y)[0])])

    def build_call(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, y: x * y + x, d["x"], d["y"])

    def build_grad_chain(self, data: Data) -> Case:
        def f(x):
            y = x
            for _ in range(5):
                y = jnp.sin(y * x)
            return y

        g, x = jax.grad(f), jnp.float32(data["x"])
        return Case(run=lambda: jax.block_until_ready(g(x)), outputs=lambda: [np.asarray(g(x))])
