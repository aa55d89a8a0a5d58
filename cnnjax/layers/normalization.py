"""Normalisation: over neighbouring channels, and over the examples of a batch."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError


def local_response_norm(
    x: jax.Array,
    depth_radius: int = 2,
    bias: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> jax.Array:
    """Local response normalisation: b_c = a_c / (k + alpha sum_{c'} a_{c'}^2)^beta.

    The sum runs over those of the channels c - r ... c + r that exist, n = 2r + 1 at most, with
    r = `depth_radius` and k = `bias`. The constants are those of Krizhevsky et al. 2012, section
    3.3 (n = 5), where alpha is NOT divided by n. Caffe and torch.nn.LocalResponseNorm divide it:
    for the same function, their alpha is n times the one given here, 5e-4 for AlexNet.

    x [..., C] -> [..., C] of the same dtype; the sums are float32 at least.

    Raises CnnjaxError for a radius below 0 or a bias that is not positive.

    >>> a = jnp.array([1.0, 2.0, 3.0])
    >>> b = local_response_norm(a, depth_radius=1, bias=1.0, alpha=1.0, beta=1.0)
    >>> [round(float(v), 4) for v in b]  # 1 / (1 + 5), 2 / (1 + 14), 3 / (1 + 13)
    [0.1667, 0.1333, 0.2143]
    """
    if depth_radius < 0 or bias <= 0:
        raise CnnjaxError(
            f"depth_radius is {depth_radius} and bias {bias}; give a radius of at least 0 and a "
            "positive bias, AlexNet's are 2 and 2.0"
        )
    a = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    ones = (1,) * (a.ndim - 1)
    pads = ((0, 0),) * (a.ndim - 1) + ((depth_radius, depth_radius),)
    sums = lax.reduce_window(a * a, 0.0, lax.add, (*ones, 2 * depth_radius + 1), (*ones, 1), pads)
    # exp and log run in vector registers on the CPU, a power does not.
    return (a * jnp.exp(-beta * jnp.log(bias + alpha * sums))).astype(x.dtype)


def batch_statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """mu = 1/m sum_i x_i and sigma^2 = 1/m sum_i (x_i - mu)^2 of each channel (lecture 1).

    The first two of the four equations of batch normalisation (Ioffe and Szegedy 2015, algorithm
    1). The sums run over all axes but the last: m is N for [N, C] and N H W for [N, H, W, C]
    (section 3.2). They are float32 at least, and accurate where the mean is large against the
    deviation.

    Args:
      x: floating, [..., C], of two axes or more.

    Returns:
      mean [C] and biased variance [C].

    Raises:
      CnnjaxError: x has less than two axes, or no examples.

    >>> mean, variance = batch_statistics(jnp.array([[1.0, 10.0], [3.0, 10.0]]))
    >>> mean.tolist(), variance.tolist()
    ([2.0, 10.0], [1.0, 0.0])
    """
    if x.ndim < 2 or x.size == 0:
        raise CnnjaxError(
            f"no batch statistics of an input of shape {x.shape}; give at least one example, "
            "[N, C] or [N, H, W, C]"
        )
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    axes = tuple(range(x.ndim - 1))
    # The corrected two-pass algorithm (Chan, Golub and LeVeque 1983): whatever error the sum of
    # many large numbers has made, the differences from it are small numbers.
    near = lax.stop_gradient(x.mean(axes))
    differences = x - near
    correction = differences.mean(axes)
    return near + correction, jnp.square(differences).mean(axes) - jnp.square(correction)


def batch_norm(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array | float,
    bias: jax.Array | float,
    epsilon: float,
) -> jax.Array:
    """y = gamma (x - mu) / sqrt(sigma^2 + epsilon) + beta, channel by channel (lecture 1).

    The last two of the four equations (Ioffe and Szegedy 2015, algorithm 1). With gamma =
    sqrt(sigma^2 + epsilon) and beta = mu it is the identity, "if necessary".

    Args:
      x: floating, [..., C].
      mean: mu [C], of the batch in training, the running one otherwise.
      variance: sigma^2 [C], likewise.
      scale: gamma, [C] or one number.
      bias: beta, [C] or one number.
      epsilon: positive, so that a constant channel has a quotient.

    Returns:
      y, of the shape and dtype of x; computed in float32 at least.

    Raises:
      CnnjaxError: an epsilon that is not positive, integers, statistics of another number of
        channels.

    >>> x = jnp.array([[1.0], [3.0]])
    >>> y = batch_norm(x, *batch_statistics(x), scale=4.0, bias=5.0, epsilon=3.0)
    >>> y.tolist()  # 5 - 4 / 2 and 5 + 4 / 2, of mean 2 and variance 1
    [[3.0], [7.0]]
    """
    if not epsilon > 0.0:
        raise CnnjaxError(f"epsilon is {epsilon}; give a positive one, such as 1e-5")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise CnnjaxError(
            f"batch_norm got an input of type {x.dtype}; it takes floating point, convert it "
            'first, e.g. x.astype("float32")'
        )
    if not mean.shape == variance.shape == x.shape[-1:]:
        raise CnnjaxError(
            f"an input of shape {x.shape} with a mean of shape {mean.shape} and a variance of "
            f"shape {variance.shape}; give one of each for each of the {x.shape[-1]} channels"
        )
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return ((wide - mean) * (scale * lax.rsqrt(variance + epsilon)) + bias).astype(x.dtype)


class BatchNorm(nn.Module):
    """Batch normalisation with running statistics (Ioffe and Szegedy 2015, algorithms 1 and 2).

    [..., C] -> [..., C], called as `(x, *, train)`. In training the mean and variance are those of
    the batch, and the running ones (collection "batch_stats": `mean`, `var`, float32 at least)
    move: running <- momentum running + (1 - momentum) batch. Otherwise they are the running ones
    and nothing moves; a frozen stage runs so, in training too. One example of one pixel, m = 1,
    is its own mean: it gives `bias`, and its variance counts as 0.

    As in the paper, the batch is divided by its biased variance (1/m) while the running variance
    takes the unbiased one, m / (m - 1) times as large. torch.nn.BatchNorm2d does the same, with a
    momentum that is 1 minus this one; Keras and flax.linen.BatchNorm keep the biased variance.

    A batch that is sharded over a mesh has global statistics under `jax.jit`, without axis names.

    Attributes:
      momentum: what the running statistics keep at each step, in [0, 1). No default: libraries
        have 0.9 (torch, as 0.1) and 0.99 (Keras, Flax).
      epsilon: added to the variance. No default: libraries have 1e-5 (torch, Flax) and 1e-3
        (Keras).
      use_scale: whether to learn gamma, as parameter `scale`.
      use_bias: whether to learn beta, as parameter `bias`.
    """

    momentum: float
    epsilon: float
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = nn.initializers.ones
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        self._check(x, train)
        channels = x.shape[-1:]
        kept = jnp.promote_types(self.param_dtype, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, kept)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels, kept)
        scale, bias = 1.0, 0.0
        if self.use_scale:
            scale = self.param("scale", self.scale_init, channels, self.param_dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, channels, self.param_dtype)
        if not train:
            mean, variance = running_mean.value, running_variance.value
        else:
            mean, variance = batch_statistics(x)
            if not self.is_initializing():
                m = math.prod(x.shape[:-1])
                unbiased = variance * (m / max(m - 1, 1))
                for running, batch in ((running_mean, mean), (running_variance, unbiased)):
                    running.value = self.momentum * running.value + (1 - self.momentum) * batch
        return batch_norm(x, mean, variance, scale, bias, self.epsilon).astype(self.dtype)

    @nn.nowrap
    def _check(self, x: jax.Array, train: bool) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise CnnjaxError(f"momentum is {self.momentum}; give one in [0, 1), such as 0.9")
        if x.ndim < 2:
            raise CnnjaxError(f"BatchNorm got an input of shape {x.shape}; it takes [N, ..., C]")
        if self.is_initializing():
            return
        if not self.has_variable("batch_stats", "mean"):
            raise CnnjaxError(
                'BatchNorm has no running statistics; apply it to {"params": ..., "batch_stats": '
                "...}, both as init gave them"
            )
        if train and not self.is_mutable_collection("batch_stats"):
            raise CnnjaxError(
                "BatchNorm in training moves its running statistics, which are not to be changed "
                'here; apply it with mutable=["batch_stats"], or with train=False'
            )
