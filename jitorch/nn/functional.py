"""The functions behind the layers, under PyTorch's names: what the op registry publishes for ``nn``."""

from jitorch.ops import PUBLIC

adaptive_avg_pool1d = PUBLIC["nn.functional.adaptive_avg_pool1d"]
adaptive_avg_pool2d = PUBLIC["nn.functional.adaptive_avg_pool2d"]
adaptive_avg_pool3d = PUBLIC["nn.functional.adaptive_avg_pool3d"]
adaptive_max_pool1d = PUBLIC["nn.functional.adaptive_max_pool1d"]
adaptive_max_pool2d = PUBLIC["nn.functional.adaptive_max_pool2d"]
adaptive_max_pool3d = PUBLIC["nn.functional.adaptive_max_pool3d"]
alpha_dropout = PUBLIC["nn.functional.alpha_dropout"]
avg_pool1d = PUBLIC["nn.functional.avg_pool1d"]
avg_pool2d = PUBLIC["nn.functional.avg_pool2d"]
avg_pool3d = PUBLIC["nn.functional.avg_pool3d"]
batch_norm = PUBLIC["nn.functional.batch_norm"]
bilinear = PUBLIC["nn.functional.bilinear"]
binary_cross_entropy = PUBLIC["nn.functional.binary_cross_entropy"]
binary_cross_entropy_with_logits = PUBLIC["nn.functional.binary_cross_entropy_with_logits"]
celu = PUBLIC["nn.functional.celu"]
conv1d = PUBLIC["nn.functional.conv1d"]
conv2d = PUBLIC["nn.functional.conv2d"]
conv3d = PUBLIC["nn.functional.conv3d"]
conv_transpose1d = PUBLIC["nn.functional.conv_transpose1d"]
conv_transpose2d = PUBLIC["nn.functional.conv_transpose2d"]
conv_transpose3d = PUBLIC["nn.functional.conv_transpose3d"]
cosine_similarity = PUBLIC["nn.functional.cosine_similarity"]
cross_entropy = PUBLIC["nn.functional.cross_entropy"]
dropout = PUBLIC["nn.functional.dropout"]
dropout1d = PUBLIC["nn.functional.dropout1d"]
dropout2d = PUBLIC["nn.functional.dropout2d"]
dropout3d = PUBLIC["nn.functional.dropout3d"]
elu = PUBLIC["nn.functional.elu"]
embedding = PUBLIC["nn.functional.embedding"]
feature_alpha_dropout = PUBLIC["nn.functional.feature_alpha_dropout"]
fold = PUBLIC["nn.functional.fold"]
gaussian_nll_loss = PUBLIC["nn.functional.gaussian_nll_loss"]
gelu = PUBLIC["nn.functional.gelu"]
glu = PUBLIC["nn.functional.glu"]
group_norm = PUBLIC["nn.functional.group_norm"]
hardshrink = PUBLIC["nn.functional.hardshrink"]
hardsigmoid = PUBLIC["nn.functional.hardsigmoid"]
hardswish = PUBLIC["nn.functional.hardswish"]
hardtanh = PUBLIC["nn.functional.hardtanh"]
huber_loss = PUBLIC["nn.functional.huber_loss"]
instance_norm = PUBLIC["nn.functional.instance_norm"]
interpolate = PUBLIC["nn.functional.interpolate"]
kl_div = PUBLIC["nn.functional.kl_div"]
l1_loss = PUBLIC["nn.functional.l1_loss"]
layer_norm = PUBLIC["nn.functional.layer_norm"]
leaky_relu = PUBLIC["nn.functional.leaky_relu"]
linear = PUBLIC["nn.functional.linear"]
local_response_norm = PUBLIC["nn.functional.local_response_norm"]
log_softmax = PUBLIC["nn.functional.log_softmax"]
logsigmoid = PUBLIC["nn.functional.logsigmoid"]
max_pool1d = PUBLIC["nn.functional.max_pool1d"]
max_pool2d = PUBLIC["nn.functional.max_pool2d"]
max_pool3d = PUBLIC["nn.functional.max_pool3d"]
mish = PUBLIC["nn.functional.mish"]
mse_loss = PUBLIC["nn.functional.mse_loss"]
multi_head_attention_forward = PUBLIC["nn.functional.multi_head_attention_forward"]
nll_loss = PUBLIC["nn.functional.nll_loss"]
normalize = PUBLIC["nn.functional.normalize"]
one_hot = PUBLIC["nn.functional.one_hot"]
pad = PUBLIC["nn.functional.pad"]
pairwise_distance = PUBLIC["nn.functional.pairwise_distance"]
pdist = PUBLIC["nn.functional.pdist"]
poisson_nll_loss = PUBLIC["nn.functional.poisson_nll_loss"]
prelu = PUBLIC["nn.functional.prelu"]
relu = PUBLIC["nn.functional.relu"]
relu6 = PUBLIC["nn.functional.relu6"]
rms_norm = PUBLIC["nn.functional.rms_norm"]
scaled_dot_product_attention = PUBLIC["nn.functional.scaled_dot_product_attention"]
selu = PUBLIC["nn.functional.selu"]
sigmoid = PUBLIC["nn.functional.sigmoid"]
silu = PUBLIC["nn.functional.silu"]
smooth_l1_loss = PUBLIC["nn.functional.smooth_l1_loss"]
softmax = PUBLIC["nn.functional.softmax"]
softmin = PUBLIC["nn.functional.softmin"]
softplus = PUBLIC["nn.functional.softplus"]
softshrink = PUBLIC["nn.functional.softshrink"]
softsign = PUBLIC["nn.functional.softsign"]
tanh = PUBLIC["nn.functional.tanh"]
tanhshrink = PUBLIC["nn.functional.tanhshrink"]
threshold = PUBLIC["nn.functional.threshold"]
unfold = PUBLIC["nn.functional.unfold"]
upsample = PUBLIC["nn.functional.upsample"]
upsample_bilinear = PUBLIC["nn.functional.upsample_bilinear"]
upsample_nearest = PUBLIC["nn.functional.upsample_nearest"]

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
