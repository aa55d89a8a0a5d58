"""Training: what to descend, how to step, and the loop around it."""

from cnnjax.training.fit import DivergedError, duration, evaluate, fit
from cnnjax.training.optimizers import momentum_sgd
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
    "DivergedError",
    "Task",
    "TrainState",
    "Variables",
    "classification",
    "create_state",
    "duration",
    "evaluate",
    "fit",
    "merge",
    "momentum_sgd",
    "partition",
    "scale_pixels",
    "train_step",
    "train_steps",
    "trained_variables",
]
