"""Weight decay, the max-norm constraint and learning rates by stage, as links of a chain.

The order in the chain is the order in which the updates pass through:

    chain(weight_decay(1e-4), momentum(0.1), scale_by_stage({"conv1": 0.1}), constrain_max_norm(3))
"""

from collections.abc import Mapping
from functools import partial
from operator import mul

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.layers import max_norm
from cnnjax.training.settings import (
    check_not_negative,
    check_positive,
    is_number,
    one_per_setting,
)


def decayed(params: optax.Params) -> optax.Params:
    """True for what weight decay acts on: kernels, i.e. arrays of two or more axes.

    Biases and the scales of normalisation are left alone, as in Yosinski et al. 2014 (solver
    files: `decay_mult: 0` for biases).

    >>> decayed({"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)})
    {'bias': False, 'kernel': True}
    """
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@one_per_setting
def chain(*links: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optax.chain`, one object for the same links, so that the step is compiled once for them.

    >>> chain(weight_decay(0.1)) is chain(weight_decay(0.1))
    True
    """
    return optax.chain(*links)


@one_per_setting
def weight_decay(rate: float) -> optax.GradientTransformation:
    """L2 weight decay, in front of an optimizer: the gradient of L + rate / 2 |w|².

        g <- g + rate w        for kernels only (see `decayed`)

    The optimizer takes it for a part of the gradient: momentum remembers it, and adaptive rates
    divide it by the size of the gradient. `adamw` decays apart from the gradient instead.

    Args:
      rate: lambda, from 0 on.

    Raises:
      CnnjaxError: a negative rate.

    >>> link = weight_decay(0.1)
    >>> w = {"kernel": jnp.array([[2.0]]), "bias": jnp.array([2.0])}
    >>> link.update(jax.tree.map(jnp.zeros_like, w), link.init(w), w)[0]["kernel"].item()
    0.20000000298023224
    """
    check_not_negative(rate, "rate")
    return optax.add_decayed_weights(rate, mask=decayed)


@one_per_setting
def l1_decay(rate: float) -> optax.GradientTransformation:
    """L1 weight decay, in front of an optimizer: a (sub)gradient of L + rate |w|_1.

        g <- g + rate sign(w)        for kernels only (see `decayed`); sign(0) = 0

    Args:
      rate: lambda, from 0 on.

    Raises:
      CnnjaxError: a negative rate.
    """
    check_not_negative(rate, "rate")

    def penalised(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(
            lambda g, w: g + rate * jnp.sign(w) if w.ndim > 1 else g,
            updates,
            _given(params, "l1_decay"),
        )

    return optax.stateless(penalised)


@one_per_setting
def constrain_max_norm(limit: float) -> optax.GradientTransformation:
    """The max-norm constraint, the last link of a chain: |w_j| <= limit for every unit j.

    w_j is the vector of incoming weights of a unit: a kernel's column, all axes but the last.
    A unit whose weights would become longer by the update is projected back to the ball.
    Kernels only; biases are free. Srivastava et al. 2014, section 5.1 (c = 3 or 4 is typical).

    Args:
      limit: c, positive.

    Raises:
      CnnjaxError: a limit that is not positive.

    >>> link = constrain_max_norm(1.0)
    >>> w = {"kernel": jnp.zeros((2, 1))}
    >>> updates, _ = link.update({"kernel": jnp.array([[3.0], [4.0]])}, link.init(w), w)
    >>> [round(float(u), 6) for u in updates["kernel"].ravel()]
    [0.6, 0.8]
    """
    check_positive(limit, "limit", usual=3.0)

    def constrained(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(
            lambda u, w: max_norm(w + u, limit) - w if w.ndim > 1 else u,
            updates,
            _given(params, "constrain_max_norm"),
        )

    return optax.stateless(constrained)


def scale_by_stage(
    factors: Mapping[str, float], default: float = 1.0
) -> optax.GradientTransformation:
    """A learning rate for each stage, behind an optimizer: eta_stage = factor eta.

    Discriminative learning rates: the slow, general first stages of a transplanted network and
    its fast new head in one training ("fine tuning parameters use a smaller learning rate, while
    training the output layer from scratch can use a larger learning rate", lecture 5).
    What the optimizer gives is multiplied, so this is the stage's learning rate in every rule
    that is linear in it: all of `OPTIMIZERS`, `ftrl` as long as it has no penalties.

    Args:
      factors: {stage: factor}, e.g. {"conv1": 0.1}.
      default: of the stages that `factors` does not name.

    Raises:
      CnnjaxError: a factor that is not positive; at `init`, a stage that is not trained.

    >>> link = scale_by_stage({"conv1": 0.5}, default=2.0)
    >>> updates = {stage: {"kernel": jnp.ones((1, 1))} for stage in ("conv1", "fc2")}
    >>> scaled, _ = link.update(updates, link.init(updates))
    >>> scaled["conv1"]["kernel"].item(), scaled["fc2"]["kernel"].item()
    (0.5, 2.0)
    """
    return _scale_by_stage(tuple(sorted(factors.items())), default)


@one_per_setting
def _scale_by_stage(
    items: tuple[tuple[str, float], ...], default: float
) -> optax.GradientTransformation:
    factors = dict(items)
    for stage, factor in (*items, ("default", default)):
        if not is_number(factor) or factor <= 0:
            raise CnnjaxError(
                f"the learning rate of {stage} cannot be multiplied by {factor!r}; expected a "
                "positive number; to keep a stage as it is, freeze it (cnnjax.training.partition)"
            )

    def init(params: optax.Params) -> optax.EmptyState:
        for stage in factors:
            if stage not in params:
                hint = did_you_mean(stage, params)
                raise CnnjaxError(
                    f"there is a learning rate for stage {stage!r}, which is not trained; trained "
                    f"are {', '.join(params)}{hint}"
                )
        return optax.EmptyState()

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        scaled = {
            stage: jax.tree.map(partial(mul, factors.get(stage, default)), of_stage)
            for stage, of_stage in updates.items()
        }
        return scaled, state

    return optax.GradientTransformation(init, update)


def _given(params: optax.Params | None, name: str) -> optax.Params:
    if params is None:
        raise CnnjaxError(
            f"{name} depends on the weights; expected update(gradients, state, params); "
            "give the parameters as the third argument"
        )
    return params
