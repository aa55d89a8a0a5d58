"""Which runs the study of initialisation consists of, and what one run does."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from cnnjax.data import load
from cnnjax.data.randomness import stream
from cnnjax.errors import CnnjaxError
from cnnjax.layers import gaussian, glorot_truncated, he_truncated, relu, sigmoid, tanh
from cnnjax.models.ledger import multiply_adds
from cnnjax.models.mlp import MLP
from cnnjax.studies.plans import Plan, Run
from cnnjax.studies.runs import Outcome, Row, Tools
from cnnjax.studies.trainings import train_network
from cnnjax.training import Variables, classification, momentum_sgd, scale_pixels
from cnnjax.transfer import variable_shapes

INITIALISERS: dict[str, Initializer] = {
    "sd0.01": gaussian(0.01),
    "sd1": gaussian(1.0),
    "xavier": glorot_truncated,
    "he": he_truncated,
}
"""Two Gaussians that know nothing of the layer, and lecture 2's two that do."""
ACTIVATIONS = {"sigmoid": sigmoid, "tanh": tanh, "relu": relu}
MOMENTUM = 0.9
FLAT = 0.1
"""A unit is flat for an image where its derivative is below this part of the largest."""
SAMPLE = 256
"""Training images over which variances are taken."""
WITHIN = 1e-30, 1e30
"""Variances out of this range are not finite numbers of float32 any more, or nearly so."""
COLUMNS = (
    *("run", "activation", "initialiser", "layers", "seed", "accuracy", "loss", "diverged"),
    *("forward_slope", "backward_slope", "flat", "classes", "steps", "seconds", "config_hash"),
)
CURVE_COLUMNS = ("run", "layer", "activation_variance", "gradient_variance", "flat")


@dataclass(frozen=True)
class Recipe:
    """What determines every number, together with the data."""

    dataset: str
    image_size: int | None
    width: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int


class Protocol:
    """The runs of the study: every initialiser with the same networks and seeds.

    Args:
      recipe: what they have in common.
      depths: numbers of hidden layers.
      seeds: how many runs each arm has.

    Raises:
      CnnjaxError: data that cannot be had.
    """

    def __init__(self, recipe: Recipe, depths: tuple[int, ...], seeds: int) -> None:
        data = load(recipe.dataset, image_size=recipe.image_size)
        self.recipe, self.train, self.test = recipe, data.train, data.test
        self.fingerprint = f"{self.train.fingerprint()[:16]}-{self.test.fingerprint()[:16]}"
        self._shape = self.train.images.shape[1:]
        self.plan = Plan(
            run
            for activation in ACTIVATIONS
            for depth in depths
            for run in self._runs(activation, depth, seeds)
        )

    def network(self, activation: str, depth: int) -> MLP:
        """`depth` hidden layers of equal width. Its own initialiser is not used: all arms share
        the object, and so its compiled programs."""
        return MLP(
            num_classes=self.train.num_classes,
            hidden=(self.recipe.width,) * depth,
            activation=ACTIVATIONS[activation],
        )

    def perform(self, run: Run, tools: Tools) -> Outcome:
        """Measures one network as it is drawn, and then trains it."""
        config, recipe = run.config, self.recipe
        network = self.network(config["activation"], config["layers"])
        variables = draw(network, self._shape, config["initialiser"], config["seed"])
        layers = self.profile(network, variables)
        trained = train_network(
            network,
            self.train,
            self.test,
            optimizer=momentum_sgd(recipe.learning_rate, recipe.steps, momentum=MOMENTUM),
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            seed=config["seed"],
            tools=tools,
            variables=variables,
            may_diverge=True,
        )
        row = {
            **{name: config[name] for name in ("activation", "initialiser", "layers", "seed")},
            "accuracy": round(100 * trained.test["accuracy"], 4),
            "loss": round(trained.test["loss"], 6),
            "diverged": int(trained.diverged),
            "forward_slope": slope([layer["activation_variance"] for layer in layers]),
            "backward_slope": slope([layer["gradient_variance"] for layer in layers[::-1]]),
            "flat": round(float(np.mean([layer["flat"] for layer in layers])), 4),
            "classes": self.train.num_classes,
            "steps": recipe.steps,
        }
        return Outcome(row, curve=layers)

    def profile(self, network: MLP, variables: Variables) -> list[Row]:
        """A row for each hidden layer: variance of its activations, variance of the gradients of
        an example's loss with respect to what enters its nonlinearity, and its flat part in %."""
        sample = self.train.take(stream(0).permutation(len(self.train))[:SAMPLE])
        arrays = jnp.asarray(sample.images), jnp.asarray(sample.labels)
        found = layer_statistics(variables, *arrays, network=network)
        return [
            {
                "layer": i,
                "activation_variance": _significant(forward),
                "gradient_variance": _significant(backward),
                "flat": round(100 * float(flat), 2),
            }
            for i, (forward, backward, flat) in enumerate(zip(*found, strict=True), 1)
        ]

    def _runs(self, activation: str, depth: int, seeds: int) -> Iterator[Run]:
        recipe = self.recipe
        cost = sum(multiply_adds(self.network(activation, depth), self._shape).values())
        for initialiser in INITIALISERS:
            for seed in range(recipe.seed, recipe.seed + seeds):
                yield Run(
                    name=f"{activation}-{initialiser}-{depth}-seed{seed}",
                    config={
                        "data": self.fingerprint,
                        "activation": activation,
                        "initialiser": initialiser,
                        "layers": depth,
                        "width": recipe.width,
                        "learning_rate": recipe.learning_rate,
                        "momentum": MOMENTUM,
                        "batch_size": recipe.batch_size,
                        "steps": recipe.steps,
                        "seed": seed,
                    },
                    cost=3.0 * recipe.steps * recipe.batch_size * cost,
                )


def draw(network: MLP, shape: tuple[int, int, int], initialiser: str, seed: int) -> dict:
    """Fresh variables: kernels of that initialiser, biases 0.

    Layer by layer from the same random numbers for every initialiser: the two Gaussians differ in
    scale alone, and so do Xavier's and He's. One draw of each shape is compiled, not each network.

    Raises:
      CnnjaxError: an unknown initialiser.
    """
    if initialiser not in INITIALISERS:
        raise CnnjaxError(
            f"there is no initialiser {initialiser!r}; there are {', '.join(INITIALISERS)}"
        )
    key, shapes = jax.random.key(seed), _shapes(network, shape)
    params = {
        stage: {
            "kernel": INITIALISERS[initialiser](
                jax.random.fold_in(key, i), shapes[stage]["kernel"].shape
            ),
            "bias": jnp.zeros(shapes[stage]["bias"].shape),
        }
        for i, stage in enumerate(network.stages)
    }
    return {"params": params}


@lru_cache
def _shapes(network: MLP, shape: tuple[int, int, int]) -> dict:
    """{stage: shapes of its parameters}, traced once a network."""
    return variable_shapes(network, shape)["params"]


@partial(jax.jit, static_argnames="network")
def layer_statistics(
    variables: Variables, images: jax.Array, labels: jax.Array, *, network: MLP
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What lectures 2 and 4 ask of each hidden layer h_l = f(z_l), before any training.

    Args:
      variables: of the network.
      images: uint8 `[N, H, W, C]`.
      labels: int32 `[N]`.
      network: with L hidden layers.

    Returns:
      Three arrays `[L]`: the variance of h_l over units and images; that of the gradients dJ/dz_l
      with J the loss of one image (Glorot and Bengio 2010, figure 7); the part of the derivatives
      f'(z_l) below `FLAT` times the largest f' there can be.
    """
    *hidden, last = network.stages
    linear = network.clone(activation=_identity)

    def loss(nudges: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        x, inputs = scale_pixels(images), []
        for stage, nudge in zip(hidden, nudges, strict=True):
            z = linear.apply(variables, x, start=stage, stop=stage) + nudge
            inputs.append(z)
            x = network.activation(z)
        logits = network.apply(variables, x, start=last)
        return classification.sums(logits, labels)["loss"], inputs

    nudges = [jnp.zeros((len(images), size)) for size in network.hidden]
    gradients, inputs = jax.grad(loss, has_aux=True)(nudges)
    z, dz = jnp.stack(inputs), jnp.stack(gradients)
    slopes = jax.vmap(jax.grad(network.activation))(z.ravel()).reshape(z.shape)
    largest = jax.grad(network.activation)(1e-6)
    flat = (slopes < FLAT * largest).mean((1, 2))
    return network.activation(z).var((1, 2)), dz.var((1, 2)), flat


def slope(variances: list[float | None]) -> float | None:
    """log2 of the factor by which variances grow from one layer to the next: the slope of the
    least-squares line through their logarithms, as far as they are numbers from the first on.

    >>> slope([8.0, 4.0, 2.0, 0.0])
    -1.0
    """
    low, high = WITHIN
    count = next(
        (i for i, v in enumerate(variances) if v is None or not low < v < high), len(variances)
    )
    if count < 2:
        return None
    return round(float(np.polyfit(range(count), np.log2(variances[:count]), 1)[0]), 4)


def _identity(x: jax.Array) -> jax.Array:
    return x


def _significant(value: jax.Array) -> float | None:
    """To four digits; None where it is not finite."""
    return float(f"{float(value):.4g}") if math.isfinite(float(value)) else None
