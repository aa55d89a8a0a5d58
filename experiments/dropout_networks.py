"""The networks of the dropout study, and what is measured on them once they are trained."""

from collections.abc import Collection, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Dataset
from cnnjax.models import Network
from cnnjax.models.mlp import MLP
from cnnjax.studies.runs import Row
from cnnjax.training import Task, Variables, regression, scale_pixels

SAMPLES = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100)
"""Of how many networks Monte-Carlo averages are taken; the paper's figure 11 goes to 120."""
LEVELS = np.linspace(0.0, 1.0, 41)
"""Of the quantiles of the activations."""
SHOWN = 16
"""First-layer features in the figure: the first ones, not the nicest."""


class UnitMLP(MLP):
    """An `MLP` that takes pixels in [0, 1] as the paper's does: the ground of a digit is 0, and
    dropping it changes nothing."""

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        frozen: Collection[str] = (),
    ) -> jax.Array:
        """As `Network.__call__`; images in [-1, 1]."""
        if start in (None, "fc1"):
            x = unit_pixels(x)
        return super().__call__(x, train=train, start=start, stop=stop, frozen=frozen)


class Autoencoder(UnitMLP):
    """Pixels -> one hidden layer -> pixels, of which the differences to the image come out:
    `[N, H, W, C] -> [N, H W C]`. `num_classes` is H W C."""

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        frozen: Collection[str] = (),
    ) -> jax.Array:
        """As `UnitMLP`; the whole network gives its reconstruction minus the image."""
        y = super().__call__(x, train=train, start=start, stop=stop, frozen=frozen)
        whole = start is None and stop is None and self.num_classes > 0
        return y - unit_pixels(x).reshape(len(x), -1) if whole else y


def unit_pixels(x: jax.Array) -> jax.Array:
    """[-1, 1] -> [0, 1]."""
    return (x + 1.0) / 2.0


def _half_square(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(outputs**2, axis=-1)


def _anything(outputs_shape: tuple[int, ...], targets: np.ndarray) -> None:
    """An autoencoder has no use for labels."""


reconstruction = Task(_half_square, (), regression.activation, _anything)
"""Of what an `Autoencoder` gives: |x' - x|² / 2, summed over the pixels."""


@partial(jax.jit, static_argnames=("network", "count"))
def _correct_by_samples(
    variables: Variables,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    *,
    network: Network,
    count: int,
) -> jax.Array:
    """How many images the mean of the first k sampled networks gets right, k = 1 ... count."""

    def add(total: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
        rngs = {"dropout": jax.random.fold_in(key, k)}
        logits = network.apply(variables, scale_pixels(images), train=True, rngs=rngs)
        total = total + jax.nn.softmax(logits)
        return total, jnp.sum(jnp.argmax(total, axis=-1) == labels)

    start = jnp.zeros((len(images), network.num_classes))
    return jax.lax.scan(add, start, jnp.arange(count))[1]


def sampled_accuracies(
    network: Network, variables: Variables, test: Dataset, seed: int
) -> dict[int, float]:
    """Monte-Carlo averaging (section 7.5): {k: accuracy in % of the mean prediction of k networks
    whose units are dropped as in training}, k in `SAMPLES`."""
    correct = _correct_by_samples(
        variables,
        jnp.asarray(test.images),
        jnp.asarray(test.labels),
        jax.random.key(seed),
        network=network,
        count=SAMPLES[-1],
    )
    return {k: 100.0 * float(correct[k - 1]) / len(test) for k in SAMPLES}


def activations(network: Network, variables: Variables, images: np.ndarray) -> np.ndarray:
    """Of the first hidden layer in evaluation mode: `[N, units]`."""
    return np.asarray(network.apply(variables, scale_pixels(jnp.asarray(images)), stop="fc1"))


def sparsity(hidden: np.ndarray) -> Row:
    """Mean activation, and the share of exact zeros in %, of `activations`.

    >>> sparsity(np.array([[0.0, 3.0], [0.0, 1.0]]))
    {'mean_activation': 1.0, 'zeros': 50.0}
    """
    return {
        "mean_activation": round(float(hidden.mean()), 5),
        "zeros": round(100.0 * float((hidden == 0).mean()), 4),
    }


def spread(kernel: np.ndarray) -> float:
    """The part of the pixels, in %, that carries a first-layer feature, mean over the units.

    (sum w²)² / (P sum w⁴) for a unit's P weights: 100 % where all are of one size, 1 / P where all
    but one are 0.

    >>> spread(np.array([[1.0, 2.0], [-1.0, 0.0]]))
    75.0
    """
    squares = kernel.astype(np.float64) ** 2
    used = squares.sum(axis=0) ** 2 / np.maximum((squares**2).sum(axis=0), 1e-300)
    return round(100.0 * float(used.mean()) / len(kernel), 4)


def features(kernel: np.ndarray) -> list[Row]:
    """The first `SHOWN` columns of a first layer's kernel as rows of curves.csv.

    A row holds the largest absolute weight (y) and a hexadecimal byte for each weight (pixels):
    80 is 0, 01 and ff are minus and plus the largest.
    """
    rows = []
    for j, column in enumerate(kernel.T[:SHOWN]):
        largest = float(np.abs(column).max())
        levels = np.rint(column / (largest or 1.0) * 127.0 + 128.0).astype(np.uint8)
        rows.append(moment("feature", j, largest) | {"pixels": "#" + levels.tobytes().hex()})
    return rows


def feature_weights(row: Row) -> np.ndarray:
    """The weights `[P]` that a row of `features` holds, to 1/254 of the largest."""
    levels = np.frombuffer(bytes.fromhex(str(row["pixels"])[1:]), np.uint8)
    return (levels.astype(np.float64) - 128.0) / 127.0 * float(row["y"])


def quantiles(hidden: np.ndarray) -> list[Row]:
    """The distribution of all activations as rows: level of the quantile (x), activation (y)."""
    found = np.quantile(hidden, LEVELS)
    return [moment("activation", round(float(x), 4), y) for x, y in zip(LEVELS, found, strict=True)]


def moment(series: str, x: float, y: float) -> Row:
    """A row of curves.csv."""
    return {"series": series, "x": x, "y": round(float(y), 5), "pixels": None}


def accuracy_rows(accuracies: dict[int, float]) -> Sequence[Row]:
    """Test errors in % against the number of sampled networks, as rows of curves.csv."""
    return [moment("samples", k, 100.0 - accuracy) for k, accuracy in accuracies.items()]
