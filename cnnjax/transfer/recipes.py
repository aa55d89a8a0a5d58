"""How a network is fine-tuned: one object for all settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training import (
    chain,
    create_optimizer,
    duration,
    scale_by_stage,
    schedules,
    weight_decay,
)
from cnnjax.training.settings import check_not_negative, check_positive, check_rate, is_number
from cnnjax.training.steps import Augment


@dataclass(frozen=True)
class Recipe:
    """The settings of a training, from scratch or from pretrained weights; hashable.

    The learning rate rises linearly over the warm-up, then falls to 0 along half a cosine. That of
    the new head is `learning_rate`. Pretrained stages learn at

        eta_stage = pretrained_factor stage_factor^d learning_rate

    with d = 0 for the last stage in front of the head, 1 for the one before it, and so on:
    discriminative learning rates (Howard and Ruder 2018, section 3.2, who divide by 2.6 from layer
    to layer); "fine tuning parameters use a smaller learning rate, while training the output layer
    from scratch can use a larger learning rate" (lecture 5, "Fine Tuning (3)").

    Attributes:
      steps: length of the training; or give `epochs`.
      epochs: the same in passes over the training images.
      batch_size: images a step.
      learning_rate: the highest, of the new head, or of all stages from scratch.
      pretrained_factor: of pretrained stages.
      stage_factor: from each pretrained stage to the one in front of it, in (0, 1].
      optimizer: one of `cnnjax.training.OPTIMIZERS`.
      weight_decay: on kernels of trained stages only; L2, or AdamW's own with "adamw".
      warmup: share of the steps.
      max_gradient_norm: the gradient of a step, of all trained stages together, is shortened to
        this L2 norm where it is longer (Pascanu, Mikolov and Bengio 2013, algorithm 1); None
        leaves it. Deep stages whose batch norm is fixed can have gradients that throw the
        pretrained weights away within a few steps.
      batch_norm: of pretrained stages that are trained. "fixed": as in evaluation, on the running
        statistics, which stay (scale and bias learn), for few images or small batches, and for
        weights whose normalisation was folded into the convolutions; "batch": on the statistics of
        each batch, and the running ones follow.
      augment: changes the training images in every step, e.g. of `cnnjax.data.augment`; frozen
        stages then run in every step, and nothing is cached of the training images.
      thaw: staged thawing (gradual unfreezing, Howard and Ruder 2018, section 3.3): how many of the
        last stages are trained in each phase before the last, increasing, e.g. (1, 3): first the
        head alone, then the last three stages, then all that are to be trained. Phases share the
        steps evenly; each has a warm-up, a cosine and an optimizer state of its own.

    Raises:
      CnnjaxError: a setting that cannot be.

    >>> Recipe(steps=300, stage_factor=1 / 2.6, thaw=(1, 3)).phases(last=5, size=2000)
    ((1, 100), (3, 100), (5, 100))
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 32
    learning_rate: float = 0.01
    pretrained_factor: float = 0.1
    stage_factor: float = 1.0
    optimizer: str = "momentum"
    weight_decay: float = 1e-4
    warmup: float = 0.1
    max_gradient_norm: float | None = None
    batch_norm: Literal["fixed", "batch"] = "fixed"
    augment: Augment | None = None
    thaw: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        duration(1, self.batch_size, steps=self.steps, epochs=self.epochs)
        check_rate(self.learning_rate, positive=True)
        check_not_negative(self.weight_decay, "weight_decay")
        if self.max_gradient_norm is not None:
            check_positive(self.max_gradient_norm, "max_gradient_norm", usual=1.0)
        for name in ("pretrained_factor", "stage_factor"):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value <= 1:
                raise CnnjaxError(
                    f"{name}={value!r} cannot be; expected a number in (0, 1]; to keep stages as "
                    "they are, train fewer of the last"
                )
        if not is_number(self.warmup) or not 0 <= self.warmup < 1:
            raise CnnjaxError(
                f"warmup={self.warmup!r} cannot be; expected the share of the steps, in [0, 1)"
            )
        if self.batch_norm not in ("fixed", "batch"):
            raise CnnjaxError(
                f"there is no batch_norm={self.batch_norm!r}; expected 'fixed' or 'batch'"
            )
        counts = (0, *self.thaw)
        if any(not isinstance(n, int) or n <= before for before, n in pairwise(counts)):
            raise CnnjaxError(
                f"thaw={self.thaw!r} cannot be; expected increasing numbers of stages, e.g. (1, 3)"
            )
        self.optimizer_for(2, {})

    def phases(self, last: int, size: int) -> tuple[tuple[int, int], ...]:
        """(how many of the last stages are trained, for how many steps) of each phase.

        Args:
          last: how many in the last phase.
          size: number of training images.

        Raises:
          CnnjaxError: `thaw` goes as far as `last` or beyond, or there is no step for a phase.
        """
        if self.thaw and self.thaw[-1] >= last:
            raise CnnjaxError(
                f"thaw={self.thaw} trains {self.thaw[-1]} stages before the last phase, which "
                f"trains {last}; give fewer"
            )
        counts = (*self.thaw, last)
        steps = duration(size, self.batch_size, steps=self.steps, epochs=self.epochs)
        if steps < len(counts):
            raise CnnjaxError(
                f"{steps} steps cannot be divided among {len(counts)} phases; give more steps, or "
                "a shorter thaw"
            )
        ends = [round(steps * (i + 1) / len(counts)) for i in range(len(counts))]
        return tuple(
            (count, end - begin)
            for count, begin, end in zip(counts, (0, *ends), ends, strict=False)
        )

    def factors(self, stages: Sequence[str], trained: int) -> dict[str, float]:
        """{stage: its learning rate as a multiple of the head's} of the trained pretrained stages.

        >>> Recipe(steps=1, stage_factor=0.5).factors(("conv1", "conv2", "conv3", "fc"), trained=3)
        {'conv3': 0.1, 'conv2': 0.05}
        """
        pretrained = reversed(stages[len(stages) - trained : -1])
        return {
            stage: self.pretrained_factor * self.stage_factor**distance
            for distance, stage in enumerate(pretrained)
        }

    def optimizer_for(self, steps: int, factors: dict[str, float]) -> optax.GradientTransformation:
        """The optimizer of a phase of so many steps, with these multiples of the learning rate."""
        warm = min(round(self.warmup * steps), steps - 1)
        rate = schedules.warmup(schedules.cosine(self.learning_rate, steps - warm), warm)
        if self.optimizer == "adamw":
            rules = [create_optimizer("adamw", rate, weight_decay=self.weight_decay)]
        else:
            rules = [weight_decay(self.weight_decay), create_optimizer(self.optimizer, rate)]
        if self.max_gradient_norm is not None:
            rules.insert(0, optax.clip_by_global_norm(self.max_gradient_norm))
        return chain(*rules, scale_by_stage(factors))
