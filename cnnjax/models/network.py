"""A network as an ordered composition of named stages.

The lecture's definition, f_w(x) = f_L(... f_2(f_1(x; w_1); w_2) ...; w_L), is the interface: a
network lists its stages, keys its variables by stage, and runs any slice of the composition with
nothing but that slice's variables.
"""

from collections.abc import Collection

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError, did_you_mean


class Network(nn.Module):
    """An ordered composition of named stages, f_L(... f_2(f_1(x; w_1); w_2) ...; w_L).

    A subclass returns its stages, in order, from `layers()`; a stage is a Flax module called as
    `stage(x, train=train)`. The last stage is the head: `num_classes=0` leaves it out.

    Attributes:
      num_classes: size of the logits; 0 means no head, the network then ends with its features.
      dtype: of the computation. Logits are float32 whatever it is.
      param_dtype: of the stored variables.
    """

    num_classes: int = 1000
    dtype: jnp.dtype = jnp.float32
    param_dtype: jnp.dtype = jnp.float32

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
        if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            raise CnnjaxError(
                f"{type(self).__name__} got an input of type {jnp.result_type(x)}; it takes "
                "floating point; scale uint8 images first, e.g. images.astype('float32') / 255"
            )
        if start in (None, self.stages[0]) and x.ndim != 4:
            raise CnnjaxError(
                f"{type(self).__name__} got an input of shape {x.shape}; it takes images "
                "[N, H, W, C]; add the missing axes"
            )
        for name in names:
            try:
                x = getattr(self, name)(x, train=train and name not in frozen)
            except CnnjaxError as error:
                raise CnnjaxError(f"stage {name} of {type(self).__name__}: {error}") from None
            except flax.errors.ScopeParamShapeError as error:
                found = str(error).partition(" (https")[0]
                raise CnnjaxError(
                    f"stage {name} of {type(self).__name__} got an input of shape {x.shape}, for "
                    f"which its weights have the wrong shape: {found}; give images of the size "
                    "that the network was made for"
                ) from None
        has_head = self.num_classes > 0
        return x.astype(jnp.float32) if has_head and names[-1] == self.stages[-1] else x

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
    for side in range(min(image_shape[:2]) + 1, 513):
        try:
            _trace(network, (side, side, image_shape[2]))
        except CnnjaxError:
            continue
        return side
    return None
