"""Optimizers as optax transformations, what is chained around them, and both by name."""

from cnnjax.training.optimizers.adaptive import adadelta, adam, adamax, adamw, nadam
from cnnjax.training.optimizers.choices import (
    OPTIMIZERS,
    SCHEDULES,
    create_optimizer,
    create_schedule,
)
from cnnjax.training.optimizers.links import (
    chain,
    constrain_max_norm,
    decayed,
    l1_decay,
    scale_by_stage,
    weight_decay,
)
from cnnjax.training.optimizers.proximal import ftrl
from cnnjax.training.optimizers.rates import rate_in_state, set_rate
from cnnjax.training.optimizers.rules import (
    adagrad,
    adam_simplified,
    momentum,
    momentum_sgd,
    nesterov,
    rmsprop,
    sgd,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "adadelta",
    "adagrad",
    "adam",
    "adam_simplified",
    "adamax",
    "adamw",
    "chain",
    "constrain_max_norm",
    "create_optimizer",
    "create_schedule",
    "decayed",
    "ftrl",
    "l1_decay",
    "momentum",
    "momentum_sgd",
    "nadam",
    "nesterov",
    "rate_in_state",
    "rmsprop",
    "scale_by_stage",
    "set_rate",
    "sgd",
    "weight_decay",
]
