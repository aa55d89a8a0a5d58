"""Draw every augmentation at several strengths on one image, labelled.

A row is an augmentation: the image as it is, then three strengths from weak to strong, each with
two random draws.

    python scripts/augment_gallery.py --image 2552 --out docs/augmentations.png
    python scripts/augment_gallery.py --dataset folder:PHOTOS --image-size 96 --out photos.png
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax.command import main
from cnnjax.data import augment, load
from cnnjax.data.augment import Augmentation
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import house_style
from cnnjax.studies.folders import write_whole

DRAWS = 2
CELL, MARGIN = 0.72, 2.6  # inches a picture; the names are as wide as so many pictures
SHARES = ((1, 8), (1, 4), (2, 5))


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw every augmentation at several strengths."""

    dataset: str = "glyphs"
    """glyphs, digits, npz:PATH, folder:PATH or another name that cnnjax.data.load knows."""
    out: Path = Path("augmentations.png")
    """The picture, a PNG."""
    image: int = 0
    """Which training image."""
    image_size: int | None = None
    """Side in pixels to bring the image to first."""
    seed: int = 0
    """Of the random draws."""


def invert(key: jax.Array, image: jax.Array) -> jax.Array:
    """A user's own function, for the example."""
    return 255 - image


def rows(side: int, channels: int) -> dict[str, dict[str, Augmentation]]:
    """Name -> strength, as it is written -> augmentation, for images of this size."""
    a = augment
    pixels = {f"{n}/{d} side": max(side * n // d, 1) for n, d in SHARES}
    sigma, alpha = side / 7, side**2 / 50
    bends = {f"α {s * alpha:.3g} σ {sigma:.3g}": a.elastic(s * alpha, sigma) for s in (1, 3, 7)}
    fills = ("constant", "reflect", "wrap")
    recipe = a.compose(a.rotate(15), a.shift(0.1), a.flip())
    found = {
        "flip": {"horizontal": a.flip(1), "vertical": a.flip(0, 1), "both": a.flip(1, 1)},
        "shift": {f"{s}": a.shift(s) for s in (0.1, 0.2, 0.4)},
        "shift 0.3, fill": {fill: a.shift(0.3, fill=fill, cval=128) for fill in fills},
        "rotate": {f"{d}°": a.rotate(d) for d in (15, 45, 180)},
        "shear": {f"{d}°": a.shear(d) for d in (10, 25, 45)},
        "zoom": {f"{s}": a.zoom(s) for s in (0.1, 0.3, 0.6)},
        "zoom, axes apart": {f"{s}": a.zoom(s, independent=True) for s in (0.1, 0.3, 0.6)},
        "lens distortion": {f"{s}": a.lens_distortion(s) for s in (0.15, 0.3, 0.6)},
        "elastic": bends,
        "random crop, padded": {n: a.random_crop(side, p) for n, p in pixels.items()},
        "center crop": {f"to {s:g} side": a.center_crop(round(s * side)) for s in (0.9, 0.7, 0.5)},
        "pad": {name: a.pad(p, 128) for name, p in pixels.items()},
        "resize": {f"to {s:g} side": a.resize(round(s * side)) for s in (0.75, 0.5, 0.25)},
        "brightness": {f"{s}": a.brightness(s) for s in (0.2, 0.5, 1)},
        "contrast": {f"{s}": a.contrast(s) for s in (0.2, 0.5, 1)},
        "saturation": {f"{s}": a.saturation(s) for s in (0.3, 0.6, 1)},
        "hue": {f"{s} turns": a.hue(s) for s in (0.05, 0.15, 0.5)},
        "channel shift": {f"{s} levels": a.channel_shift(s) for s in (20, 50, 100)},
        "color cast": {f"{s} levels": a.color_cast(s) for s in (20, 50, 100)},
        "Gaussian noise": {f"std {s}": a.gaussian_noise(s) for s in (5, 15, 40)},
        "cutout": {name: a.cutout(p) for name, p in pixels.items()},
        "a function of one's own": {"255 - x": a.apply(invert)},
        "rotate 15°, shift 0.1, flip": {f"draws {i}": recipe for i in ("1, 2", "3, 4", "5, 6")},
    }
    if channels != 3:
        del found["saturation"], found["hue"]
    return found


def draw(image: np.ndarray, seed: int) -> Figure:
    """The gallery of one image `[H, W, C]`: the image, then the draws of each strength."""
    kinds, columns = rows(min(image.shape[:2]), image.shape[2]), 1 + 3 * DRAWS
    figure = Figure(figsize=(CELL * (columns + MARGIN), 1.24 * CELL * len(kinds)))
    cells = figure.subplots(len(kinds), columns)
    figure.subplots_adjust(left=MARGIN / (columns + MARGIN), right=1, top=1, bottom=0, wspace=0.08)
    for cell in cells.flat:
        cell.set_axis_off()
    cells[0, 0].set_title("as it is", fontsize=8, pad=2)
    key, batch = jax.random.key(seed), np.stack([image] * DRAWS)
    for (name, strengths), row in zip(kinds.items(), cells, strict=True):
        show(row[0], image)
        row[0].text(-0.15, 0.5, name, ha="right", va="center", transform=row[0].transAxes)
        for i, (strength, augmentation) in enumerate(strengths.items()):
            key, own = jax.random.split(key)
            first = 1 + i * DRAWS
            row[first].set_title(strength, fontsize=8, pad=2)
            for cell, picture in zip(row[first:], augmentation(own, batch), strict=False):
                show(cell, np.asarray(picture))
    return figure


def show(cell: Axes, picture: np.ndarray) -> None:
    """Pixels as they are, grey or coloured."""
    cell.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def run(config: Config) -> None:
    """Draw the picture of one image."""
    if config.out.suffix != ".png":
        raise CnnjaxError(f"--out {config.out} is no PNG; give a name that ends in .png")
    images = load(config.dataset, image_size=config.image_size).train.images
    if not 0 <= config.image < len(images):
        raise CnnjaxError(
            f"there is no training image {config.image} in {config.dataset}; expected 0 to "
            f"{len(images) - 1}; choose another --image"
        )
    if config.seed < 0:
        raise CnnjaxError(f"--seed {config.seed} is negative; give a whole number from 0 on")
    with house_style():
        figure = draw(images[config.image], config.seed)
        write_whole(config.out, partial(figure.savefig, dpi=100))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    main(Config, run, __doc__)
