"""The learning rate as a number in the optimizer's state, and not in its program."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.training.settings import check_rate, one_per_setting
from cnnjax.training.state import TrainState


class RateState(NamedTuple):
    """The learning rate, float32 `[]`, and the state of the rule that it scales."""

    rate: jax.Array
    rule: optax.OptState


@one_per_setting
def rate_in_state(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """`rule`, made with learning rate 1, whose updates are multiplied by a rate in the state.

    A step is compiled once for each optimizer object, and so once for each rate: seconds, where a
    small network is trained at dozens of them. Here all rates share one program, and states that
    differ in their rate alone may be stacked (`train_stacked`). The rate begins as 1; `set_rate`
    changes it.

    Numbers are those of `rule` at that rate, to rounding, if its updates are proportional to a
    constant rate. All of `OPTIMIZERS` are, but `ftrl` with penalties.

    >>> from cnnjax.training import adam
    >>> rate_in_state(adam(1.0)) is rate_in_state(adam(1.0))
    True
    """

    def init(params: optax.Params) -> RateState:
        return RateState(jnp.ones((), jnp.float32), rule.init(params))

    def update(
        gradients: optax.Updates, state: RateState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RateState]:
        updates, inner = rule.update(gradients, state.rule, params)
        updates = jax.tree.map(lambda u: (state.rate * u).astype(u.dtype), updates)
        return updates, RateState(state.rate, inner)

    return optax.GradientTransformation(init, update)


def set_rate(state: TrainState, rate: float) -> TrainState:
    """The state of a training by `rate_in_state`, at that learning rate.

    Raises:
      CnnjaxError: a negative rate.
    """
    check_rate(rate)
    return state._replace(opt_state=state.opt_state._replace(rate=jnp.float32(rate)))
