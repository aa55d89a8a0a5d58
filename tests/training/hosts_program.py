"""One of the processes of a training of a small network with batch normalisation and dropout."""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from devices_program import Small

from cnnjax import CnnjaxError
from cnnjax.data.augment import flip
from cnnjax.training import adam, classification, create_state, fit
from cnnjax.training.hosts import joined
from cnnjax.training.processes import current


def train(out: Path, steps: int, seconds: float) -> dict[str, np.ndarray]:
    """The arrays of the state at the end; in `out`, which may hold a checkpoint, the metrics."""
    network, optimizer, rng = Small(num_classes=3), adam(0.01), np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = (rng.integers(0, 120, (90, 6, 6, 3)) + 45 * labels[:, None, None, None]).astype(
        "uint8"
    )
    data = [(jnp.asarray(images[p]), jnp.asarray(labels[p])) for p in (slice(70), slice(70, 90))]
    # The processes begin differently: all have to begin as the first.
    key = jax.random.key(current().index)
    variables = jax.jit(network.init)(key, jnp.zeros((1, 6, 6, 3)))
    state, _ = fit(
        create_state(variables, optimizer, jax.random.key(1)),
        data[0],
        network=network,
        task=classification,
        optimizer=optimizer,
        steps=steps,
        batch_size=24,
        seed=3,
        augment=flip(),
        validation=data[1],
        evaluate_every=3,
        log_every=1,
        directory=out,
        checkpoint_seconds=0.0,
        on_steps=lambda step: time.sleep(seconds),
    )
    leaves = jax.tree_util.tree_leaves_with_path(state._replace(key=jax.random.key_data(state.key)))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def main(
    out: Path, steps: int = 6, seconds: float = 0.0, fails: str = "", **settings: object
) -> None:
    with joined(**settings) as here:
        if fails:
            raise CnnjaxError(fails)
        arrays = train(out, steps, seconds)
        if here.primary:
            np.savez(out / "arrays.npz", **arrays)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    except CnnjaxError as error:
        sys.exit(f"error: {error}")
