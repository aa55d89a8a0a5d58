"""What stands behind --optimizer, --schedule and --weight-decay of scripts/train.py."""

from collections.abc import Sequence

import optax

from cnnjax.errors import CnnjaxError
from cnnjax.training import chain, create_optimizer, create_schedule, schedules, weight_decay


def make_optimizer(
    name: str, rate: optax.Schedule, decay: float, settings: dict[str, object]
) -> optax.GradientTransformation:
    """The optimizer with its weight decay, of kernels only: L2, apart from the gradient for adamw.

    Raises:
      CnnjaxError: an unknown optimizer or setting, or a number that cannot be.
    """
    if name == "adamw":
        return create_optimizer("adamw", rate, **({"weight_decay": decay} | settings))
    return chain(weight_decay(decay), create_optimizer(name, rate, **settings))


def learning_rate(
    schedule: str, highest: float, warmup: float, drops: Sequence[float], steps: int
) -> optax.Schedule:
    """The schedule with the warm-up in front of it, over `steps` in all.

    Args:
      schedule: constant, step, cosine or one_cycle.
      highest: rate.
      warmup: the part of the steps over which the rate rises linearly to where it begins.
      drops: for `step`, the parts of all steps after which the rate falls to a tenth; by default
        at each third of what follows the warm-up.
      steps: of the whole training.

    Raises:
      CnnjaxError: a part that is none, drops for a schedule that has none, or whatever the
        schedule cannot be.
    """
    if not 0 <= warmup < 1:
        raise CnnjaxError(f"--warmup is {warmup}; give a part of the training, e.g. 0.05")
    if drops and schedule != "step":
        raise CnnjaxError(f"--drops are of --schedule step, not of {schedule}; leave them out")
    if not all(warmup < part < 1 for part in drops):
        raise CnnjaxError(
            f"--drops are {' '.join(map(str, drops))}; give parts of the training between the "
            f"warm-up, {warmup}, and 1, e.g. 0.5 0.75"
        )
    rising = round(warmup * steps)
    rest = steps - rising
    thirds = [k * (rest // 3 + 1) for k in (1, 2)]
    places = [round(part * steps) - rising for part in drops] or thirds
    own = {
        "cosine": {"steps": rest},
        "one_cycle": {"steps": rest},
        "step": {"boundaries": tuple(places)},
    }
    return schedules.warmup(create_schedule(schedule, highest, **own.get(schedule, {})), rising)
