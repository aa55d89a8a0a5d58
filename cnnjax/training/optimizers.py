"""Optimizers as optax transformations."""

from functools import lru_cache

import jax
import optax


def decayed(params: optax.Params) -> optax.Params:
    """True for what weight decay acts on: kernels, i.e. arrays of two or more axes.

    Biases and the scales of normalisation are left alone, as in Yosinski et al. 2014 (solver
    files: `decay_mult: 0` for biases).
    """
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@lru_cache  # one object per setting: a step is compiled once for each optimizer object
def momentum_sgd(
    learning_rate: float,
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    warmup: int = 0,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum, linear warm-up and cosine decay.

        g <- g + weight_decay w;   v <- momentum v + g;   w <- w - eta(t) v

    Args:
      learning_rate: the highest eta, reached after the warm-up.
      steps: over which eta falls to 0 along half a cosine.
      momentum: in [0, 1).
      weight_decay: L2, on kernels only (see `decayed`).
      warmup: steps over which eta rises linearly from 0.

    Returns:
      A transformation whose state exists for the parameters it was given, and no others.
    """
    rate = optax.schedules.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else learning_rate,
        peak_value=learning_rate,
        warmup_steps=warmup,
        decay_steps=steps,
    )
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=decayed),
        optax.sgd(rate, momentum=momentum),
    )
