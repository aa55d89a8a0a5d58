"""Trains the same network on one, eight and three devices, and on two what eight have begun."""

import json
import sys
from contextlib import suppress
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.augment import flip
from cnnjax.layers import BatchNorm
from cnnjax.models import Network
from cnnjax.training import (
    adam,
    classification,
    create_state,
    fit,
)
from cnnjax.training.devices import Placement, choose_devices, limit_devices


class Block(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(self.features, (3, 3), use_bias=False)(x)
        x = nn.relu(BatchNorm(0.9, 1e-5)(x, train=train))
        return nn.Dropout(0.25, deterministic=not train)(x)


class Head(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.classes)(x.mean(axis=(1, 2)))


class Small(Network):
    def layers(self):
        return {"conv1": Block(6), "conv2": Block(8), "fc": Head(self.num_classes)}


def devices_of(variables: dict) -> int:
    return len(variables["params"]["conv1"]["Conv_0"]["kernel"].sharding.device_set)


class StoppedError(Exception):
    pass


def main(folder: Path) -> None:
    network, optimizer, rng = Small(num_classes=3), adam(0.01), np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = (rng.integers(0, 120, (90, 6, 6, 3)) + 45 * labels[:, None, None, None]).astype(
        "uint8"
    )
    train, held_out = [
        (jnp.asarray(images[p]), jnp.asarray(labels[p])) for p in (slice(70), slice(70, 90))
    ]
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 6, 6, 3)))
    augment = flip()

    def trained(count: int, **settings: object) -> tuple:
        return fit(
            create_state(variables, optimizer, jax.random.key(1)),
            train,
            network=network,
            task=classification,
            optimizer=optimizer,
            steps=6,
            batch_size=24,
            seed=3,
            augment=augment,
            validation=held_out,
            evaluate_every=3,
            log_every=1,
            measure=lambda variables: {"devices": devices_of(variables)},
            devices=jax.devices()[:count],
            **settings,
        )

    def stop(step: int) -> None:
        if step >= 4:
            raise StoppedError

    said = {}

    def keep(way: str, state: object, lines: list) -> None:
        leaves = jax.tree_util.tree_leaves_with_path(
            state._replace(key=jax.random.key_data(state.key))
        )
        np.savez(
            folder / f"{way}.npz", **{jax.tree_util.keystr(k): np.asarray(v) for k, v in leaves}
        )
        said[way] = lines

    for way, count in (("one", 1), ("three", 3), ("eight", 8)):
        state, lines = trained(count)
        keep(way, state, lines)
    said["devices of the state at the end"] = devices_of({"params": state.params})
    divided = Placement(jax.devices()).divided(np.zeros((2, 24), np.int32))
    said["examples of a batch on each device"] = [
        s.data.shape[1] for s in divided.addressable_shards
    ]
    said["chosen of 8 for 30"] = len(choose_devices(30))
    with limit_devices(2):
        said["chosen of 8 for 24, of at most 2"] = len(choose_devices(24))
    settings = {"directory": folder / "run", "checkpoint_seconds": 0.0}
    with suppress(StoppedError):
        trained(8, on_steps=stop, **settings)
    assert (folder / "run" / "checkpoint").exists()
    keep("resumed", *trained(2, **settings))
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
