"""Training: what to descend, how to step, and the loop around it."""

from cnnjax.training import schedules
from cnnjax.training.adaptive import adadelta, adam, adamax, adamw, ftrl, nadam
from cnnjax.training.choices import OPTIMIZERS, SCHEDULES, create_optimizer, create_schedule
from cnnjax.training.fit import DivergedError, duration, evaluate, fit
from cnnjax.training.links import chain, constrain_max_norm, l1_decay, scale_by_stage, weight_decay
from cnnjax.training.optimizers import (
    adagrad,
    adam_simplified,
    momentum,
    momentum_sgd,
    nesterov,
    rmsprop,
    sgd,
)
from cnnjax.training.state import (
    TrainState,
    Variables,
    create_state,
    merge,
    partition,
    trained_variables,
)
from cnnjax.training.steps import scale_pixels, train_step, train_steps
from cnnjax.training.tasks import Task, classification

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "DivergedError",
    "Task",
    "TrainState",
    "Variables",
    "adadelta",
    "adagrad",
    "adam",
    "adam_simplified",
    "adamax",
    "adamw",
    "chain",
    "classification",
    "constrain_max_norm",
    "create_optimizer",
    "create_schedule",
    "create_state",
    "duration",
    "evaluate",
    "fit",
    "ftrl",
    "l1_decay",
    "merge",
    "momentum",
    "momentum_sgd",
    "nadam",
    "nesterov",
    "partition",
    "rmsprop",
    "scale_by_stage",
    "scale_pixels",
    "schedules",
    "sgd",
    "train_step",
    "train_steps",
    "trained_variables",
    "weight_decay",
]
