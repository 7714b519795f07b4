"""Post-processing of detectors, written as TorchScript programs of their time are."""

import math
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.jit.script
def box_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


@torch.jit.script
def box_iou(a: Tensor, b: Tensor) -> Tensor:
    left_top = torch.max(a[:, None, :2], b[:, :2])
    right_bottom = torch.min(a[:, None, 2:], b[:, 2:])
    sizes = (right_bottom - left_top).clamp(min=0)
    inter = sizes[:, :, 0] * sizes[:, :, 1]
    return inter / (box_area(a)[:, None] + box_area(b) - inter)


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> List[int]:
    order = torch.argsort(scores, descending=True)
    overlaps = box_iou(boxes, boxes)
    keep: List[int] = []
    for i in range(order.size(0)):
        candidate = int(order[i])
        suppressed = False
        for kept in keep:
            if bool(overlaps[candidate, kept] > threshold):
                suppressed = True
                break
        if not suppressed:
            keep.append(candidate)
    return keep


def clip_boxes_to_image(boxes, size):
    # type: (Tensor, Tuple[int, int]) -> Tensor
    dim = boxes.dim()
    boxes_x = boxes[..., 0::2]
    boxes_y = boxes[..., 1::2]
    height, width = size
    boxes_x = boxes_x.clamp(min=0, max=width)
    boxes_y = boxes_y.clamp(min=0, max=height)
    clipped = torch.stack((boxes_x, boxes_y), dim=dim)
    return clipped.reshape(boxes.shape)


class ImageList(NamedTuple):
    tensors: Tensor
    sizes: List[Tuple[int, int]]


class BatchImages(nn.Module):
    """Pads images of different sizes to a common multiple."""

    __constants__ = ["divisor"]

    def __init__(self):
        super().__init__()
        self.divisor = 4

    def max_by_axis(self, the_list):
        # type: (List[List[int]]) -> List[int]
        maxes = the_list[0]
        for sublist in the_list[1:]:
            for index, item in enumerate(sublist):
                maxes[index] = max(maxes[index], item)
        return maxes

    def forward(self, images: List[Tensor]) -> ImageList:
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        max_size = self.max_by_axis([list(image.shape) for image in images])
        stride = float(self.divisor)
        max_size = list(max_size)
        max_size[1] = int(math.ceil(float(max_size[1]) / stride) * stride)
        max_size[2] = int(math.ceil(float(max_size[2]) / stride) * stride)
        batch_shape = [len(images)] + max_size
        batched = images[0].new_full(batch_shape, 0.0)
        for i in range(batched.shape[0]):
            image = images[i]
            batched[i, : image.shape[0], : image.shape[1], : image.shape[2]].copy_(image)
        return ImageList(batched, sizes)


class AnchorGenerator(nn.Module):
    __annotations__ = {"cell_anchors": List[Tensor], "_cache": Dict[str, List[Tensor]]}

    def __init__(self):
        super().__init__()
        self.sizes = ((2,), (4,))
        self.aspect_ratios = (0.5, 1.0)
        self.cell_anchors = [self.generate(sizes, self.aspect_ratios) for sizes in self.sizes]
        self._cache = {}

    def generate(self, scales: List[int], aspect_ratios: List[float], dtype: torch.dtype = torch.float32) -> Tensor:
        scales_t = torch.as_tensor(scales, dtype=dtype)
        ratios = torch.as_tensor(aspect_ratios, dtype=dtype)
        h_ratios = torch.sqrt(ratios)
        w_ratios = 1 / h_ratios
        ws = (w_ratios[:, None] * scales_t[None, :]).view(-1)
        hs = (h_ratios[:, None] * scales_t[None, :]).view(-1)
        return torch.stack([-ws, -hs, ws, hs], dim=1) / 2

    def grid_anchors(self, grid_sizes: List[List[int]], strides: List[List[int]]) -> List[Tensor]:
        anchors = []
        cell_anchors = self.cell_anchors
        if not (len(grid_sizes) == len(strides) == len(cell_anchors)):
            raise ValueError("one set of anchors for each feature map")
        for size, stride, base in zip(grid_sizes, strides, cell_anchors):
            height, width = size
            shifts_x = torch.arange(0, width, dtype=torch.float32) * stride[1]
            shifts_y = torch.arange(0, height, dtype=torch.float32) * stride[0]
            x = shifts_x.repeat(height)
            y = shifts_y[:, None].expand(height, width).reshape(-1)
            shifts = torch.stack((x, y, x, y), dim=1)
            anchors.append((shifts.view(-1, 1, 4) + base.view(1, -1, 4)).reshape(-1, 4))
        return anchors

    def cached_grid_anchors(self, grid_sizes: List[List[int]], strides: List[List[int]]) -> List[Tensor]:
        key = str(grid_sizes) + str(strides)
        if key in self._cache:
            return self._cache[key]
        anchors = self.grid_anchors(grid_sizes, strides)
        self._cache[key] = anchors
        return anchors

    def forward(self, features: List[Tensor], image: Tensor) -> Tensor:
        grid_sizes = [list(feature.shape[-2:]) for feature in features]
        image_size = image.shape[-2:]
        strides = [[image_size[0] // g[0], image_size[1] // g[1]] for g in grid_sizes]
        anchors = self.cached_grid_anchors(grid_sizes, strides)
        return torch.cat(anchors) + 0 * image.sum()


class BoxCoder:
    """Boxes as differences from anchors."""

    def __init__(self, weights: Tuple[float, float, float, float], clip: float = 4.0):
        self.weights = weights
        self.clip = clip

    def decode(self, codes: Tensor, boxes: Tensor) -> Tensor:
        widths = boxes[:, 2] - boxes[:, 0]
        heights = boxes[:, 3] - boxes[:, 1]
        x = boxes[:, 0] + 0.5 * widths
        y = boxes[:, 1] + 0.5 * heights
        wx, wy, ww, wh = self.weights
        dx = codes[:, 0::4] / wx
        dy = codes[:, 1::4] / wy
        dw = torch.clamp(codes[:, 2::4] / ww, max=self.clip)
        dh = torch.clamp(codes[:, 3::4] / wh, max=self.clip)
        cx = dx * widths[:, None] + x[:, None]
        cy = dy * heights[:, None] + y[:, None]
        half_w = torch.exp(dw) * widths[:, None] * 0.5
        half_h = torch.exp(dh) * heights[:, None] * 0.5
        return torch.stack((cx - half_w, cy - half_h, cx + half_w, cy + half_h), dim=2).flatten(1)


def decode_boxes(codes: Tensor, boxes: Tensor) -> Tensor:
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    return coder.decode(codes, boxes)


def postprocess(logits: Tensor, boxes: Tensor, least: float) -> List[Dict[str, Tensor]]:
    results: List[Dict[str, Tensor]] = []
    scores = F.softmax(logits, -1)
    for b in range(logits.shape[0]):
        best, labels = scores[b].max(dim=-1)
        keep = torch.where(best > least)[0]
        results.append({"scores": best[keep], "labels": labels[keep], "boxes": boxes[b][keep]})
    return results


class Pyramid(nn.Module):
    """Feature Pyramid Networks (Lin et al., 2017): top-down with lateral connections."""

    def __init__(self):
        super().__init__()
        self.inner_blocks = nn.ModuleList()
        self.layer_blocks = nn.ModuleList()
        for channels in (2, 3, 4):
            self.inner_blocks.append(nn.Conv2d(channels, 2, 1))
            self.layer_blocks.append(nn.Conv2d(2, 2, 3, padding=1))

    def get_result_from_inner_blocks(self, x: Tensor, idx: int) -> Tensor:
        num_blocks = len(self.inner_blocks)
        if idx < 0:
            idx += num_blocks
        out = x
        for i, module in enumerate(self.inner_blocks):
            if i == idx:
                out = module(x)
        return out

    def get_result_from_layer_blocks(self, x: Tensor, idx: int) -> Tensor:
        out = x
        for i, module in enumerate(self.layer_blocks):
            if i == idx:
                out = module(x)
        return out

    def forward(self, x: Dict[str, Tensor]) -> Dict[str, Tensor]:
        names = list(x.keys())
        values = list(x.values())
        last_inner = self.get_result_from_inner_blocks(values[-1], -1)
        results = [self.get_result_from_layer_blocks(last_inner, -1 + len(values))]
        for idx in range(len(values) - 2, -1, -1):
            lateral = self.get_result_from_inner_blocks(values[idx], idx)
            size = lateral.shape[-2:]
            top_down = F.interpolate(last_inner, size=size, mode="nearest")
            last_inner = lateral + top_down
            results.insert(0, self.get_result_from_layer_blocks(last_inner, idx))
        out: Dict[str, Tensor] = {}
        for k, v in zip(names, results):
            out[k] = v
        return out


class LevelMapper:
    """Equation 1 of the FPN paper."""

    def __init__(self, k_min: int, k_max: int, scale: int = 224, level: int = 4):
        self.k_min = k_min
        self.k_max = k_max
        self.s0 = scale
        self.lvl0 = level

    def __call__(self, boxes: List[Tensor]) -> Tensor:
        s = torch.sqrt(torch.cat([box_area(b) for b in boxes]))
        target = torch.floor(self.lvl0 + torch.log2(s / self.s0 + 1e-6))
        target = torch.clamp(target, min=self.k_min, max=self.k_max)
        return (target.to(torch.int64) - self.k_min).to(torch.int64)


def assign_levels(boxes: List[Tensor]) -> Tensor:
    mapper = LevelMapper(2, 5, scale=4)
    return mapper(boxes)


class DenseLayer(nn.Module):
    """A layer of DenseNet (Huang et al., 2017), which takes one tensor or all the earlier ones."""

    def __init__(self, inputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, 2, 1)
        self.drop_rate = float(0)

    def forward(self, input: Union[Tensor, List[Tensor]]) -> Tensor:
        if isinstance(input, Tensor):
            prev_features = [input]
        else:
            prev_features = input
        out = F.relu(self.conv(torch.cat(prev_features, 1)))
        if self.drop_rate > 0:
            out = F.dropout(out, p=self.drop_rate, training=self.training)
        return out


class DenseBlock(nn.ModuleDict):
    def __init__(self):
        super().__init__()
        for i in range(3):
            self.add_module("layer%d" % (i + 1), DenseLayer(2 + 2 * i))

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for name, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, 1)


class InvertedResidual(nn.Module):
    """MobileNetV2 (Sandler et al., 2018), with squeeze and excitation."""

    use_res_connect: torch.jit.Final[bool]

    def __init__(self):
        super().__init__()
        self.expand = nn.Conv2d(2, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.fc1 = nn.Conv2d(6, 2, 1)
        self.fc2 = nn.Conv2d(2, 6, 1)
        self.project = nn.Conv2d(6, 2, 1, bias=False)
        self.use_res_connect = True

    def _scale(self, input: Tensor, inplace: bool) -> Tensor:
        scale = F.adaptive_avg_pool2d(input, 1)
        scale = F.relu(self.fc1(scale), inplace=inplace)
        return F.hardsigmoid(self.fc2(scale), inplace=inplace)

    def forward(self, x):
        out = F.relu6(self.norm(self.expand(x)))
        out = self.depthwise(out)
        out = self.project(self._scale(out, True) * out)
        if self.use_res_connect:
            return x + out
        else:
            return out


def keypoints_to_heatmap(keypoints, rois, size):
    # type: (Tensor, Tensor, int) -> Tuple[Tensor, Tensor]
    offset_x = rois[:, 0]
    offset_y = rois[:, 1]
    scale_x = size / (rois[:, 2] - rois[:, 0])
    scale_y = size / (rois[:, 3] - rois[:, 1])
    x = (keypoints[..., 0] - offset_x[:, None]) * scale_x[:, None]
    y = (keypoints[..., 1] - offset_y[:, None]) * scale_y[:, None]
    x = x.floor().long()
    y = y.floor().long()
    valid_loc = (x >= 0) & (y >= 0) & (x < size) & (y < size)
    vis = keypoints[..., 2] > 0
    valid = (valid_loc & vis).long()
    return (y * size + x) * valid, valid


def select_or_all(x: Tensor, indices: Optional[List[int]] = None) -> Tensor:
    if indices is None:
        return x
    assert len(indices) > 0, "nothing to select"
    return torch.stack([x[i] for i in indices])
