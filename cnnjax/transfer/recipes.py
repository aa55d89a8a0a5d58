"""How a network is fine-tuned: one object for all settings."""

from dataclasses import dataclass

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
      augment: changes the training images in every step, e.g. of `cnnjax.data.augment`; frozen
        stages then run in every step, and nothing is cached of the training images.
      thaw: staged thawing (gradual unfreezing, Howard and Ruder 2018, section 3.3): how many of the
        last stages are trained in each phase before the last, increasing, e.g. (1, 3): first the
        head alone, then the last three stages, then all that are to be trained. Phases share the
        steps evenly; each has a warm-up, a cosine and an optimizer state of its own.
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
    augment: Augment | None = None
    thaw: tuple[int, ...] = ()
