"""A network as an ordered composition of named stages.

The lecture's definition, f_w(x) = f_L(... f_2(f_1(x; w_1); w_2) ...; w_L), is the interface: a
network lists its stages, keys its variables by stage, and runs any slice of the composition with
nothing but that slice's variables.
"""

from collections.abc import Collection
from typing import ClassVar

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models.pixels import Pixels


class Network(nn.Module):
    """An ordered composition of named stages, f_L(... f_2(f_1(x; w_1); w_2) ...; w_L).

    A subclass returns its stages, in order, from `layers()`; a stage is a Flax module called as
    `stage(x, train=train)`. The last stage is the head: `num_classes=0` leaves it out. A stage
    gives one array, or a tuple of them, which the next one takes.

    Attributes:
      num_classes: size of the logits; 0 means no head, the network then ends with its features.
      dtype: of the computation. Logits are float32 whatever it is.
      param_dtype: of the stored variables.
      remat: whether the backward pass computes the inside of each stage again (`jax.checkpoint`)
        and only what goes from stage to stage is kept: a forward pass more for less memory.
      pixels: what images in [-1, 1] become before the first stage, for weights that were trained
        on another scale; as they are by default. A slice that begins later takes features, which
        nothing is done to.
      image: (height, width, channels) of the images that the paper gives the network.
      auxiliary_weight: of each auxiliary head's loss in training, next to the loss of the logits;
        0 where there are no such heads.
    """

    num_classes: int = 1000
    dtype: jnp.dtype = jnp.float32
    param_dtype: jnp.dtype = jnp.float32
    remat: bool = False
    pixels: Pixels | None = None

    image: ClassVar[tuple[int, int, int]]
    auxiliary_weight: ClassVar[float] = 0.0

    def __init_subclass__(cls, **kwargs: object) -> None:
        # Flax wraps the methods of a module to know whose submodules are being made. `layers` must
        # stay callable on a network that is not bound to variables, only to name its stages.
        if "layers" in cls.__dict__:
            cls.layers = nn.nowrap(cls.layers)
        super().__init_subclass__(**kwargs)

    @nn.nowrap
    def layers(self) -> dict[str, nn.Module]:
        """Returns the stages by name, in the order in which they are composed."""
        raise NotImplementedError(f"{type(self).__name__} must define layers()")

    def setup(self) -> None:
        layers = self._body_and_head()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.bound_stages = tuple(layers)

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order.

        >>> import cnnjax
        >>> cnnjax.create("alexnet").stages
        ('conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'fc6', 'fc7', 'fc8')
        """
        # A bound module must not build its layers a second time: Flax would register them twice.
        return tuple(self._body_and_head()) if self.scope is None else self.bound_stages

    @nn.nowrap
    def slice(self, start: str | None = None, stop: str | None = None) -> tuple[str, ...]:
        """Returns the names of the stages from `start` to `stop`, both included.

        Raises:
          CnnjaxError: a name is not a stage, or `start` comes after `stop`.
        """
        stages = self.stages
        first = 0 if start is None else self._position(start, stages)
        last = len(stages) - 1 if stop is None else self._position(stop, stages)
        if first > last:
            raise CnnjaxError(
                f"an empty slice of {type(self).__name__}: start={start!r} comes after "
                f"stop={stop!r}; the stages in order are {', '.join(stages)}"
            )
        return stages[first : last + 1]

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        frozen: Collection[str] = (),
    ) -> jax.Array:
        """Runs the stages from `start` to `stop`, both included.

        Args:
          x: float images `[N, H, W, C]`, or what stage `start`'s predecessor returned.
          train: training mode, i.e. dropout draws (rng stream "dropout") and batch norm uses and
            updates batch statistics.
          start: first stage to run; the first of all by default.
          stop: last stage to run; the last of all by default.
          frozen: stages that run in evaluation mode even when `train` is true.

        Returns:
          The output of stage `stop`; for the head, float32 logits `[N, num_classes]`.

        Raises:
          CnnjaxError: an unknown stage, an empty slice, or an input the stages cannot take.
        """
        names = self.slice(start, stop)
        for name in frozen:
            self._position(name, self.stages)
        is_image = names[0] == self.stages[0]
        self._check_input(x, is_image)
        if is_image and self.pixels is not None:
            x = self.pixels(x)
        for name in names:
            try:
                x = self._run(name, x, train=train and name not in frozen)
            except CnnjaxError as error:
                raise CnnjaxError(f"stage {name} of {type(self).__name__}: {error}") from None
            except flax.errors.ScopeParamShapeError as error:
                shape = jax.tree.map(jnp.shape, x)
                found = str(error).partition(" (https")[0]
                raise CnnjaxError(
                    f"stage {name} of {type(self).__name__} got an input of shape {shape}, for "
                    f"which its weights have the wrong shape: {found}; give images of the size "
                    "that the network was made for"
                ) from None
        has_head = self.num_classes > 0
        return x.astype(jnp.float32) if has_head and names[-1] == self.stages[-1] else x

    def _run(self, name: str, x: jax.Array, train: bool) -> jax.Array:
        def stage(network: Network, x: jax.Array) -> jax.Array:
            return getattr(network, name)(x, train=train)

        # Making variables needs no backward pass.
        remat = self.remat and not self.is_initializing()
        return (nn.remat(stage) if remat else stage)(self, x)

    @nn.nowrap
    def _check_input(self, x: jax.Array, is_image: bool) -> None:
        for array in jax.tree.leaves(x):
            if not jnp.issubdtype(jnp.result_type(array), jnp.floating):
                raise CnnjaxError(
                    f"{type(self).__name__} got an input of type {jnp.result_type(array)}; it "
                    "takes floating point; scale uint8 images first, e.g. "
                    "images.astype('float32') / 255"
                )
        if is_image and jnp.ndim(x) != 4:
            raise CnnjaxError(
                f"{type(self).__name__} got an input of shape {jnp.shape(x)}; it takes images "
                "[N, H, W, C]; add the missing axes"
            )

    @nn.nowrap
    def _body_and_head(self) -> dict[str, nn.Module]:
        layers = self.layers()
        if self.num_classes == 0:
            layers.pop(list(layers)[-1])
        return layers

    @nn.nowrap
    def _position(self, name: str, stages: tuple[str, ...]) -> int:
        if name in stages:
            return stages.index(name)
        hint = did_you_mean(name, stages)
        raise CnnjaxError(
            f"{type(self).__name__} has no stage {name!r}; its stages are {', '.join(stages)}{hint}"
        )


def wants_auxiliary(module: nn.Module, train: bool) -> bool:
    """Whether a stage has to run its auxiliary head: in training, if somebody takes what it gives
    (the collection "auxiliary" is mutable), and once, to make its variables."""
    return module.is_initializing() or (train and module.is_mutable_collection("auxiliary"))


def keep_auxiliary(module: nn.Module, logits: jax.Array) -> None:
    """Gives the logits of a stage's auxiliary head as a side output, in float32.

    `apply(..., train=True, mutable=[..., "auxiliary"])` returns them beside the output, as
    {"auxiliary": {stage: {"logits": ...}}}.
    """
    if not module.is_initializing():
        logits = logits.astype(jnp.float32)
        module.sow("auxiliary", "logits", logits, init_fn=lambda: None, reduce_fn=lambda _, x: x)


LARGEST_TRIED = 512
"""Pixels up to which `check_takes` looks for an image that fits."""


def check_takes(network: Network, image_shape: tuple[int, int, int]) -> None:
    """Makes sure that `network` can take images of this shape, without computing anything.

    Args:
      network: the network.
      image_shape: (height, width, channels).

    Raises:
      CnnjaxError: the images are too small; the message names the smallest square that works.
    """
    try:
        _trace(network, image_shape)
    except CnnjaxError as error:
        smallest = _smallest_square(network, image_shape)
        advice = f"; the smallest square image it takes is {smallest} x {smallest}"
        raise CnnjaxError(
            f"images of {image_shape[0]} x {image_shape[1]} x {image_shape[2]} do not fit: "
            f"{error}{advice if smallest else ''}"
        ) from None


def _trace(network: Network, image_shape: tuple[int, int, int]) -> None:
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jax.eval_shape(network.init, jax.random.key(0), images)


def _smallest_square(network: Network, image_shape: tuple[int, int, int]) -> int | None:
    def fits(side: int) -> bool:
        try:
            _trace(network, (side, side, image_shape[2]))
        except CnnjaxError:
            return False
        return True

    # What a network does to an image it can do to a larger one, so that halving finds the size.
    # A deep network takes seconds to trace, unless it fails early: small sizes are tried first.
    refused = max(min(image_shape[:2]), 1)
    taken = 2 * refused
    while not fits(taken):
        refused, taken = taken, 2 * taken
        if refused > LARGEST_TRIED:
            return None
    while taken - refused > 1:
        side = (refused + taken) // 2
        refused, taken = (refused, side) if fits(side) else (side, taken)
    return taken
