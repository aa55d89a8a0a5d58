"""What to do with little data: train from scratch, keep the features, or fine-tune?

Chollet 2016 (the Keras blog, "Building powerful image classification models using very little
data") has 1,000 photos of cats and 1,000 of dogs, and three answers: a small convnet from scratch
reaches 79 to 81 % on validation images, a classifier on the features of a network trained on
ImageNet 90 to 91 %, and fine-tuning the last block of that network behind the trained classifier
94 % (one run each, 800 validation images). Here each is one arm, beside two more: the pretrained
network's own architecture from scratch, and fine-tuning all of it.
  convnet     the blog's small network (1.2 million weights at 150 x 150), from scratch
  scratch     the pretrained network's architecture, from scratch
  features    a logistic regression on what comes in front of the pretrained network's head
  last        the last --last stages trained on behind it, from that regression as the head
  everything  all stages, likewise
Every arm learns from 100 to 2,000 images, the same ones for a seed; smaller sets are parts of
larger ones. All arms but the features take the same number of steps, unless --convnet-steps gives
the cheap network more.

The running statistics of a network from scratch are taken anew after its last step, and only then:
along the way it is measured with those that it has. That, and the shortened gradients below, came
after first runs on photos in which these two arms guessed the test images.

Deviations from the blog: a logistic regression, where it has 256 hidden units and dropout; two
outputs and softmax for its one sigmoid; momentum along a cosine, where it has RMSProp; steps where
it has 50 epochs; its augmentation (shear 0.2 degrees, zoom 0.2, mirroring) with --augment only, as
frozen stages must then run in every step. Nothing else is chosen by the test images of these seeds;
learning rates are the best of two or three on another seed of the embedded form, tested on the same
images.

By default the network is trained on Latin letters (glyphs/latin) and goes on to Cyrillic ones, in
a few minutes on two CPU cores. With photos and weights of your own:
  python experiments/little_data.py --dataset folder:PHOTOS --image-size 96
  --network mobilenet_v2 --weights PATH --steps 150 --convnet-steps 1500 --tuning-rate 0.005
To expect there: the order of the three published numbers; a network that was trained on ImageNet,
which has 120 breeds of dogs, is better at cats and dogs than at most.
Fine-tuning shortens the gradient of a step to norm 1: without it, and at that rate, a deep network
whose batch norm stays as it was ends at guessing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from little_data_figure import draw
from little_data_ground import Settings
from little_data_protocol import ARMS, Protocol
from little_data_report import COLUMNS, CURVE_COLUMNS, judge_all, summarise
from tyro.conf import arg

from cnnjax import command
from cnnjax.command import POSITIVE, REPETITIONS, Allowed, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.figures import data_title
from cnnjax.studies.runs import Row
from cnnjax.studies.study import Report, Study, StudyConfig, conduct, from_flags, smoke_folder

STUDY = "little_data"


@dataclass(frozen=True)
class Config(StudyConfig):
    dataset: str = "glyphs/cyrillic"
    """What is to be learnt: glyphs/greek, folder:PATH, npz:PATH, cifar10, tfds:NAME ..."""
    image_size: Annotated[int | None, unset("PIXELS", "28 of glyphs, else theirs")] = None
    """Bring the images to this side."""
    network: str = "alexnet_small"
    """The registered network that is pretrained."""
    weights: Annotated[Path | None, unset("PATH", "the network is trained on --source first")] = (
        None
    )
    """Of the pretrained network: any file that scripts/predict.py takes."""
    source: str = "glyphs/latin"
    """What the network is trained on first, without --weights."""
    arms: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ARMS
    """The arms to run."""
    sizes: Annotated[tuple[int, ...], arg(metavar="N ...")] = (100, 500, 2000)
    """Training images, shared by the classes as evenly as can be."""
    last: int = 3
    """Stages that the arm "last" trains, the head included."""
    augment: bool = False
    """The blog's augmentation: shear, zoom, mirroring."""
    seeds: int = 3
    """Repetitions: each with images, weights and an order of examples of its own."""
    source_steps: int = 600
    """Length of the training on --source."""
    steps: int = 300
    """Length of every other training."""
    convnet_steps: Annotated[int | None, unset("INT", "--steps")] = None
    """Length of those of the small convnet, where it is to be another."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.02
    """The highest, from scratch; it falls along a cosine."""
    convnet_rate: float = 0.05
    """Likewise, of the small convnet."""
    tuning_rate: float = 0.01
    """Likewise, of fine-tuning."""
    out: Path = Path("results/little_data")
    """Where results.csv, the figure and the runs go; the same command goes on there."""


def run(config: Config) -> None:
    """Plans, runs what is missing, and reports."""
    conduct(declare, shrink(config) if config.smoke else config)


def declare(config: Config) -> Study:
    """The study that the flags ask for."""
    if config.image_size is None and config.dataset.startswith("glyphs"):
        config = replace(config, image_size=28)
    check(config)
    settings = from_flags(Settings, config)
    protocol = Protocol(settings, config.arms, config.sizes, config.seeds, config.weights)
    classes = protocol.ground.train.num_classes

    def report(rows: Sequence[Row], curves: Sequence[Row]) -> Report:
        weights = config.weights
        origin = f"trained on {config.source}" if weights is None else f"weights {weights.name}"
        convnet = config.convnet_steps or config.steps
        longer = "" if convnet == config.steps else f" (small convnet {convnet:,})"
        title = (
            f"{data_title(config.dataset)} ({classes} classes); {config.network}, {origin}; "
            f"{config.steps:,} steps{longer} of {config.batch_size}, {config.seeds} seeds"
        )
        return Report(
            draw(rows, curves, title, classes),
            judge_all(rows, classes),
            "Test accuracy in %: mean ± 95 % interval",
            *summarise(rows, classes),
        )

    return Study(
        name=STUDY,
        config=asdict(settings) | {"data": protocol.ground.fingerprint},
        plan=protocol.plan,
        perform=protocol.perform,
        columns=COLUMNS,
        curve_columns=CURVE_COLUMNS,
        report=report,
        examples_per_step=config.batch_size,
    )


def check(config: Config) -> None:
    """Refuses numbers and names that cannot be; paths are refused where they are looked up."""
    check_numbers(
        config,
        seeds=REPETITIONS,
        source_steps=at_least(1),
        steps=at_least(1),
        convnet_steps=at_least(1),
        batch_size=at_least(1),
        sizes=Allowed("numbers of images", lambda n: n >= 1),
        learning_rate=POSITIVE,
        convnet_rate=POSITIVE,
        tuning_rate=POSITIVE,
    )
    for flag, given in (("arms", config.arms), ("sizes", config.sizes)):
        if not given:
            raise CnnjaxError(f"--{flag} is empty; give one or more")
    if unknown := [arm for arm in config.arms if arm not in ARMS]:
        raise CnnjaxError(f"there is no arm {unknown[0]!r}; the arms are {', '.join(ARMS)}")


def shrink(config: Config) -> Config:
    """The smoke form: the same path through the code, a few steps on a few images."""
    small = {
        "source_steps": 2,
        "steps": 2,
        "convnet_steps": None,
        "batch_size": 8,
        "sizes": (54, 81),
    }
    return replace(config, out=smoke_folder(config), seeds=2, **small)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
