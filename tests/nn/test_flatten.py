import torch

from jitorch import nn
from tests.nn.oracle import check_module, numbers


def test_flatten():
    check_module(nn.Flatten(), torch.nn.Flatten(), numbers(2, 3, 4))
    check_module(nn.Flatten(0, 1), torch.nn.Flatten(0, 1), numbers(2, 3, 4))


def test_unflatten():
    check_module(nn.Unflatten(1, (2, 3)), torch.nn.Unflatten(1, (2, 3)), numbers(2, 6, 4))
    check_module(nn.Unflatten(-1, (2, -1)), torch.nn.Unflatten(-1, (2, -1)), numbers(2, 6))


def test_pixel_shuffle():
    check_module(nn.PixelShuffle(2), torch.nn.PixelShuffle(2), numbers(2, 8, 3, 2))


def test_pixel_unshuffle():
    check_module(nn.PixelUnshuffle(2), torch.nn.PixelUnshuffle(2), numbers(2, 3, 4, 6))


def test_channel_shuffle():
    check_module(nn.ChannelShuffle(3), torch.nn.ChannelShuffle(3), numbers(2, 6, 3, 2))
