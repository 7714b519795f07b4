"""Train a small CNN on scikit-learn's handwritten digits with one compiled step, export it, run it elsewhere.

    make demo        or        python examples/digits.py [--epochs N] [--out FOLDER]

1,797 real 8x8 images, split 80/20 by class with seed 0; the test part is never seen in training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jitorch
from jitorch import nn, optim
from jitorch.nn import functional as F

BATCH = 64
CONSOLE = Console()


class DigitsNet(nn.Module):
    """Two convolutions, batch normalisation, dropout, two linear layers: ``[N, 1, 8, 8]`` to ``[N, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.dropout = nn.Dropout(0.25)
        self.linear1 = nn.Linear(32 * 2 * 2, 64)
        self.linear2 = nn.Linear(64, 10)

    def forward(self, images):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = self.dropout(F.relu(self.linear1(x.flatten(1))))
        return self.linear2(x)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels; pixels between 0 and 1."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    split = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    train, test = map(np.asarray, split)
    labels = labels.astype(np.int64)
    return images[train], labels[train], images[test], labels[test]


def make_step(model: nn.Module, optimizer: optim.Optimizer) -> Callable:
    """One training step: forward, backward and update."""

    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batches(images: np.ndarray, labels: np.ndarray, epoch: int) -> Iterator[tuple[jitorch.Tensor, jitorch.Tensor]]:
    """Shuffled batches of one size; the rest of an epoch is left out."""
    order = np.random.default_rng(epoch).permutation(len(images))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield jitorch.from_numpy(images[chosen]), jitorch.from_numpy(labels[chosen])


def new_run() -> tuple[nn.Module, Callable]:
    """A model and its step, from the same seed each time."""
    jitorch.manual_seed(0)
    model = DigitsNet()
    return model, make_step(model, optim.Adam(model.parameters(), lr=2e-3))


def train(step: Callable, images: np.ndarray, labels: np.ndarray, epochs: int) -> list[float]:
    """Train with a progress bar; gives the seconds of each step."""
    seconds: list[float] = []
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
    )  # fmt: skip
    with Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("", total=epochs * (len(images) // BATCH), loss=float("nan"))
        for epoch in range(epochs):
            for batch, target in batches(images, labels, epoch):
                start = time.perf_counter()
                loss = step(batch, target)
                seconds.append(time.perf_counter() - start)
                progress.update(task, advance=1, loss=loss.item())
    return seconds


def accuracy(model: Callable, images: np.ndarray, labels: np.ndarray) -> float:
    with jitorch.no_grad():
        predicted = model(jitorch.from_numpy(images)).argmax(1)
    return float((predicted.numpy() == labels).mean())


def show_compilation() -> None:
    """One small function at every stage."""

    @jitorch.jit(fullgraph=True)
    def gelu_bias(x, bias):
        return F.gelu(x + bias)

    gelu_bias(jitorch.ones(4, 8), jitorch.zeros(8))
    texts = gelu_bias.sources()
    for stage in ("graph", "kernels", "llvm"):
        CONSOLE.rule(f"gelu(x + bias): {stage}")
        text = texts[stage]
        if stage == "llvm":
            lines = [line for line in text.splitlines() if line.strip()]
            text = "\n".join([*lines[:40], f"... {len(lines) - 40} more lines"])
        CONSOLE.print(text, markup=False, highlight=False)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for digits.onnx")
    options = parser.parse_args(arguments)
    images, labels, test_images, test_labels = load()

    _, eager_step = new_run()
    first = list(batches(images, labels, 0))[:20]
    eager_seconds = []
    for batch, target in first:
        start = time.perf_counter()
        eager_step(batch, target)
        eager_seconds.append(time.perf_counter() - start)

    model, plain_step = new_run()
    step = jitorch.jit(plain_step, fullgraph=True)
    seconds = train(step, images, labels, options.epochs)
    steady = median(seconds[1:])
    compile_seconds = seconds[0] - steady
    model.eval()
    test_accuracy = accuracy(model, test_images, test_labels)

    show_compilation()

    path = options.out / "digits.onnx"
    sample = jitorch.from_numpy(test_images[:BATCH])
    jitorch.onnx.export(
        model, (sample,), path, input_names=["images"], output_names=["logits"], dynamic_axes={"images": {0: "batch"}}
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {"images": test_images})
    with jitorch.no_grad():
        reference = model(jitorch.from_numpy(test_images)).numpy()
        in_c = jitorch.jit(model, backend="c", fullgraph=True)(jitorch.from_numpy(test_images)).numpy()

    table = Table("figure", "value", title="digits: what was measured in this run")
    figures = {
        "test accuracy": test_accuracy,
        "eager step (ms, median)": median(eager_seconds) * 1e3,
        "jitted step (ms, median)": steady * 1e3,
        "eager / jitted": median(eager_seconds) / steady,
        "compile time (s)": compile_seconds,
        "traces of the step": step.statistics.traces,
        "greatest difference, onnxruntime": float(np.abs(exported - reference).max()),
        "greatest difference, c backend": float(np.abs(in_c - reference).max()),
    }
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}" if isinstance(value, float) else str(value))
    CONSOLE.print(table)
    return figures


if __name__ == "__main__":
    main()
