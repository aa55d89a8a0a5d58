"""Training: what to descend, how to step, and the loop around it."""

from cnnjax.training import checkpoints, losses, metrics, schedules, scores
from cnnjax.training.adaptive import adadelta, adam, adamax, adamw, nadam
from cnnjax.training.choices import OPTIMIZERS, SCHEDULES, create_optimizer, create_schedule
from cnnjax.training.fit import DivergedError, duration, evaluate, fit, totals
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
from cnnjax.training.proximal import ftrl
from cnnjax.training.state import (
    TrainState,
    Variables,
    create_state,
    merge,
    partition,
    trained_variables,
)
from cnnjax.training.steps import scale_pixels, train_step, train_steps
from cnnjax.training.tasks import (
    LAST_LAYERS,
    Task,
    binary_classification,
    classification,
    multilabel_classification,
    regression,
    unit_regression,
    unit_regression_cross_entropy,
)

__all__ = [
    "LAST_LAYERS",
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
    "binary_classification",
    "chain",
    "checkpoints",
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
    "losses",
    "merge",
    "metrics",
    "momentum",
    "momentum_sgd",
    "multilabel_classification",
    "nadam",
    "nesterov",
    "partition",
    "regression",
    "rmsprop",
    "scale_by_stage",
    "scale_pixels",
    "schedules",
    "scores",
    "sgd",
    "totals",
    "train_step",
    "train_steps",
    "trained_variables",
    "unit_regression",
    "unit_regression_cross_entropy",
    "weight_decay",
]
