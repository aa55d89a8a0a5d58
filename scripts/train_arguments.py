"""What stands behind --network, --arguments, --settings and --augment of scripts/train.py."""

import ast
import inspect
from collections.abc import Sequence

import jax
import jax.numpy as jnp

import cnnjax
from cnnjax.data import augment
from cnnjax.data.augment import Augmentation
from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models import Network, check_takes

AUGMENTATIONS = (
    *("brightness", "center_crop", "channel_shift", "color_cast", "contrast", "cutout", "elastic"),
    *("flip", "gaussian_noise", "hue", "lens_distortion", "pad", "random_crop", "resize"),
    *("rotate", "saturation", "shear", "shift", "zoom"),
)
"""Those of `cnnjax.data.augment` that numbers describe."""


def read_arguments(texts: Sequence[str]) -> dict[str, object]:
    """Reads NAME=VALUE; a value is a number, a tuple, True, False or else a word.

    Raises:
      CnnjaxError: there is no "=", or a name comes twice.

    >>> read_arguments(["dropout=0.5", "hidden=(64, 32)", "variant=grouped"])
    {'dropout': 0.5, 'hidden': (64, 32), 'variant': 'grouped'}
    """
    arguments: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in arguments:
            raise CnnjaxError(f"{text!r} is no setting; write each once, as NAME=VALUE")
        arguments[name] = _value(value)
    return arguments


def make_network(
    name: str,
    texts: Sequence[str],
    *,
    num_classes: int,
    image: tuple[int, ...],
    dtype: str,
    remat: bool,
) -> Network:
    """Makes the network for images `[H, W, C]` of one shape, without computing anything.

    Args:
      name: of the network.
      texts: its own arguments, as NAME=VALUE.
      num_classes: of the data.
      image: (height, width, channels).
      dtype: of the computation, a name.
      remat: see `Network`.

    Raises:
      CnnjaxError: an unknown network or argument, one that the data or another flag gives, or
        images that the network cannot take.
    """
    arguments = read_arguments(texts)
    given = {"num_classes": "the data", "dtype": "--dtype", "remat": "--remat"}
    for own in set(arguments) & set(given):
        raise CnnjaxError(f"--arguments gives {own}, which comes from {given[own]}; leave it out")
    dtypes = {"dtype": jnp.dtype(dtype).type, "remat": remat}
    network = cnnjax.create(name, num_classes=num_classes, **dtypes, **arguments)
    try:
        check_takes(network, image)
    except CnnjaxError as error:
        hint = "; see --image-size" if "smallest square" in str(error) else ""
        raise CnnjaxError(f"{error}{hint}") from None
    except (AttributeError, TypeError, ValueError) as error:
        if not arguments:
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CnnjaxError(
            f"{name} cannot be made with {' '.join(texts)} ({reason}); "
            "give values of the kind that its documentation names"
        ) from None
    return network


def read_augmentation(texts: Sequence[str]) -> Augmentation | None:
    """Reads NAME or NAME:NUMBER,NUMBER,..., the numbers being the augmentation's strengths.

    Raises:
      CnnjaxError: an unknown name, or strengths that it cannot take.

    >>> read_augmentation(["flip", "shift:0.1", "rotate:15"])
    """
    stages = []
    for text in texts:
        name, _, strengths = text.partition(":")
        if name not in AUGMENTATIONS:
            hint = did_you_mean(name, AUGMENTATIONS)
            raise CnnjaxError(
                f"there is no augmentation {name!r}; there are {', '.join(AUGMENTATIONS)}{hint}"
            )
        make = getattr(augment, name)
        values = [_value(value) for value in strengths.split(",")] if strengths else []
        try:
            inspect.signature(make).bind(*values)
            stages.append(make(*values))
        except TypeError:
            takes = ", ".join(inspect.signature(make).parameters)
            raise CnnjaxError(
                f"{text!r} cannot be: {name} takes {takes}, in this order; "
                "write e.g. shift:0.1 or rotate:15"
            ) from None
    return augment.compose(*stages) if stages else None


def check_augmentation(augmentation: Augmentation | None, shape: tuple[int, ...]) -> None:
    """Makes sure that images `[H, W, C]` of this shape can be augmented, and keep their shape.

    Raises:
      CnnjaxError: they cannot.
    """
    if augmentation is None:
        return
    images = jax.ShapeDtypeStruct((1, *shape), jnp.uint8)
    after = jax.eval_shape(augmentation, jax.random.key(0), images).shape[1:]
    if after != shape:
        made, given = (" x ".join(map(str, size)) for size in (after, shape))
        raise CnnjaxError(
            f"--augment makes images of {made} out of {given}, for which the network is made; "
            f"add resize:{shape[0]}, or pad what is cropped, e.g. random_crop:{shape[0]},4"
        )


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
