"""The models, written once for jitorch and for PyTorch: each function takes the package and returns a module.

Names of parameters are those of the weights in `benchmarks.workloads`.
"""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import ENCODER, GPT, RESNET_STAGES


def mlp(torch: Any) -> Any:
    """784-512-256-10 with relu."""
    nn, F = torch.nn, torch.nn.functional

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(784, 512)
            self.fc2 = nn.Linear(512, 256)
            self.fc3 = nn.Linear(256, 10)

        def forward(self, x):
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    return MLP()


def cnn(torch: Any) -> Any:
    """Two 3x3 convolutions with relu and pooling, two linear layers: (N, 1, 28, 28) to (N, 10)."""
    nn, F = torch.nn, torch.nn.functional

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
            self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
            self.fc1 = nn.Linear(32 * 7 * 7, 128)
            self.fc2 = nn.Linear(128, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            return self.fc2(F.relu(self.fc1(x.flatten(1))))

    return CNN()


def resnet18(torch: Any) -> Any:
    """ResNet-18 for 224x224 images, 1000 classes.  He et al., "Deep Residual Learning for Image Recognition", 2015."""
    nn, F = torch.nn, torch.nn.functional

    class BasicBlock(nn.Module):
        """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""

        def __init__(self, inputs, channels, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            changes = stride != 1 or inputs != channels
            self.down = nn.Conv2d(inputs, channels, 1, stride, bias=False) if changes else nn.Identity()
            self.downbn = nn.BatchNorm2d(channels) if changes else nn.Identity()

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            return F.relu(out + self.downbn(self.down(x)))

    def stage(inputs, channels, stride):
        return nn.Sequential(BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1))

    class ResNet18(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            widths = [64, *(channels for channels, _ in RESNET_STAGES)]
            strides = [stride for _, stride in RESNET_STAGES]
            self.layer1 = stage(widths[0], widths[1], strides[0])
            self.layer2 = stage(widths[1], widths[2], strides[1])
            self.layer3 = stage(widths[2], widths[3], strides[2])
            self.layer4 = stage(widths[3], widths[4], strides[3])
            self.fc = nn.Linear(512, 1000)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet18()


def block_class(torch: Any) -> Any:
    """The class of transformer blocks: norms before attention and before the two linear layers, exact GELU."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, width, heads, hidden, causal):
            super().__init__()
            self.heads = heads
            self.size = width // heads
            self.causal = causal
            self.ln1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)
            self.ln2 = nn.LayerNorm(width)
            self.fc1 = nn.Linear(width, hidden)
            self.fc2 = nn.Linear(hidden, width)

        def forward(self, x):
            batch, length, width = x.shape
            qkv = self.qkv(self.ln1(x)).view(batch, length, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=self.causal)
            x = x + self.proj(y.transpose(1, 2).reshape(batch, length, width))
            return x + self.fc2(F.gelu(self.fc1(self.ln2(x))))

    return Block


def encoder(torch: Any) -> Any:
    """One block, 512 wide with 8 heads: (N, L, 512) to the same."""
    return block_class(torch)(ENCODER["width"], ENCODER["heads"], ENCODER["hidden"], False)


def gpt(torch: Any) -> Any:
    """Six causal blocks, 384 wide with 6 heads: tokens (N, L) to scores (N, L, 65)."""
    nn = torch.nn
    Block = block_class(torch)

    class GPTModel(nn.Module):
        def __init__(self):
            super().__init__()
            width = GPT["width"]
            self.tok = nn.Embedding(GPT["vocabulary"], width)
            self.pos = nn.Embedding(GPT["positions"], width)
            blocks = [Block(width, GPT["heads"], GPT["hidden"], True) for _ in range(GPT["layers"])]
            self.blocks = nn.Sequential(*blocks)
            self.lnf = nn.LayerNorm(width)
            self.head = nn.Linear(width, GPT["vocabulary"], bias=False)

        def forward(self, tokens):
            x = self.tok(tokens) + self.pos.weight[: tokens.shape[1]]
            return self.head(self.lnf(self.blocks(x)))

    return GPTModel()


MODELS = {"mlp": mlp, "cnn": cnn, "resnet18": resnet18, "encoder": encoder, "gpt": gpt}


def loaded(torch: Any, name: str, weights: dict[str, Any], dtype: Any = None) -> Any:
    """The model ``name`` with ``weights`` (arrays); counters of batches seen keep their 0."""
    model = MODELS[name](torch)
    state = {key: torch.from_numpy(value.copy()) for key, value in weights.items()}
    counters = {key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")}
    model.load_state_dict(state | counters)
    return model if dtype is None else model.to(dtype)
