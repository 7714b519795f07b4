"""The functions behind the layers: ``torch.nn.functional``."""

# -- ops, written by tools/public_names.py --
# isort: off
from jitorch.ops.activation import (
    gelu, glu, hardshrink, hardsigmoid, hardswish, logsigmoid, mish, sigmoid, silu, softplus, softshrink, softsign,
    tanhshrink,
)  # fmt: skip
from jitorch.ops.adaptive import (
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d, adaptive_max_pool2d,
    adaptive_max_pool3d,
)  # fmt: skip
from jitorch.ops.attention import (
    scaled_dot_product_attention,
)  # fmt: skip
from jitorch.ops.contraction import (
    bilinear,
)  # fmt: skip
from jitorch.ops.conv import (
    conv1d, conv2d, conv3d,
)  # fmt: skip
from jitorch.ops.conv_transpose import (
    conv_transpose1d, conv_transpose2d, conv_transpose3d,
)  # fmt: skip
from jitorch.ops.cross_entropy import (
    cross_entropy, nll_loss,
)  # fmt: skip
from jitorch.ops.ctc import (
    ctc_loss,
)  # fmt: skip
from jitorch.ops.distance import (
    cosine_similarity, normalize, pairwise_distance, pdist,
)  # fmt: skip
from jitorch.ops.dropout import (
    alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout,
)  # fmt: skip
from jitorch.ops.embedding import (
    embedding, one_hot,
)  # fmt: skip
from jitorch.ops.embedding_bag import (
    embedding_bag,
)  # fmt: skip
from jitorch.ops.fold import (
    fold, unfold,
)  # fmt: skip
from jitorch.ops.grid import (
    affine_grid, grid_sample,
)  # fmt: skip
from jitorch.ops.linalg import (
    linear,
)  # fmt: skip
from jitorch.ops.loss import (
    binary_cross_entropy, binary_cross_entropy_with_logits, gaussian_nll_loss, huber_loss, kl_div, l1_loss, mse_loss,
    poisson_nll_loss, smooth_l1_loss,
)  # fmt: skip
from jitorch.ops.margin_loss import (
    cosine_embedding_loss, hinge_embedding_loss, margin_ranking_loss, multi_margin_loss, multilabel_margin_loss,
    multilabel_soft_margin_loss, soft_margin_loss, triplet_margin_loss, triplet_margin_with_distance_loss,
)  # fmt: skip
from jitorch.ops.math import (
    tanh,
)  # fmt: skip
from jitorch.ops.multihead import (
    multi_head_attention_forward,
)  # fmt: skip
from jitorch.ops.normalization import (
    batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm,
)  # fmt: skip
from jitorch.ops.padding import (
    pad,
)  # fmt: skip
from jitorch.ops.pooling import (
    avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d,
)  # fmt: skip
from jitorch.ops.rectifier import (
    celu, elu, hardtanh, leaky_relu, prelu, relu, relu6, selu, threshold,
)  # fmt: skip
from jitorch.ops.resize import (
    interpolate, upsample, upsample_bilinear, upsample_nearest,
)  # fmt: skip
from jitorch.ops.softmax import (
    nn_log_softmax as log_softmax, nn_softmax as softmax, softmin,
)  # fmt: skip
from jitorch.ops.stochastic import (
    gumbel_softmax, rrelu,
)  # fmt: skip
from jitorch.ops.unpooling import (
    channel_shuffle, lp_pool1d, lp_pool2d, lp_pool3d, max_unpool1d, max_unpool2d, max_unpool3d, pixel_shuffle,
    pixel_unshuffle,
)  # fmt: skip

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "affine_grid", "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "channel_shuffle", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "ctc_loss", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu",
    "embedding", "embedding_bag", "feature_alpha_dropout", "fold", "gaussian_nll_loss", "gelu", "glu", "grid_sample",
    "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss",
    "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear",
    "local_response_norm", "log_softmax", "logsigmoid", "lp_pool1d", "lp_pool2d", "lp_pool3d", "margin_ranking_loss",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d", "mish", "mse_loss",
    "multi_head_attention_forward", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "nll_loss", "normalize", "one_hot", "pad", "pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle",
    "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm", "rrelu", "scaled_dot_product_attention", "selu",
    "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "threshold", "triplet_margin_loss", "triplet_margin_with_distance_loss",
    "unfold", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip
# isort: on
# -- end of ops --
