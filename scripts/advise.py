"""Which part of a pretrained network should be kept for your images?

    python scripts/advise.py --data folder:PHOTOS --network mobilenet_v2 --weights PATH \\
        --budget 10m --out results/photos

Measures, on your own images and cheapest first, what the lectures' cases give: a classifier on the
features of every stage (case 1), the last 2, 4, 8, ... stages fine-tuned (case 2), all of them
(case 3), and the same network from scratch (case 4). All options learn from and are tested on the
same splits of the training and validation images (cross-validation); intervals are corrected for
training sets that overlap. Nothing is begun that would not end within --budget.

Then it recommends the cheapest option that is not worse than the best beyond the noise, says how
sure that is, what the lectures' tables would have said, and the command that trains it. The test
images are not looked at before that.

In --out: report.html (one page, to be read without a network), results.csv, figure.svg and .png,
and curves.csv, the time of each stage.
Stopped or killed, the same command goes on where it was; with a larger --budget it goes on with
what was left out.
"""

import shlex
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console

from cnnjax import command
from cnnjax.advisor.advice import MARGIN
from cnnjax.advisor.kept import train_option
from cnnjax.advisor.options import Terms
from cnnjax.advisor.progress import AdvisorProgress, reporter
from cnnjax.advisor.protocol import COLUMNS, CURVE_COLUMNS, FEATURES, Protocol, group_of
from cnnjax.advisor.report import TABLE, figure, html, table_rows
from cnnjax.advisor.summary import Summary, seconds_of, summarise
from cnnjax.advisor.texts import Facts, verdict
from cnnjax.command import POSITIVE, Allowed, at_least, check_numbers, unset
from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.studies.budget import Budget, Within, read_duration, show_duration
from cnnjax.studies.display import table
from cnnjax.studies.figures import save_figure
from cnnjax.studies.folders import claim_folder, write_text
from cnnjax.studies.machine import machine
from cnnjax.studies.plans import Run
from cnnjax.studies.results import write_results
from cnnjax.studies.runs import Folder, Outcome, Tools
from cnnjax.studies.study import SEED, from_flags
from cnnjax.transfer import FeatureStore

STUDY = "advise"
MOST_KEPT = 2 * 2**30
"""Bytes of features on disk."""


@dataclass(frozen=True)
class Config:
    data: str
    """folder:PHOTOS (a folder of images for each class), npz:PATH, glyphs/cyrillic, digits ..."""
    network: str
    """A registered network, see scripts/ledger.py --list."""
    weights: str
    """Of the network: a file, the folder of a training of scripts/train.py, or a source such as
    torchvision."""
    image_size: Annotated[int | None, unset("PIXELS", "as the weights expect")] = None
    """Bring the images to this side."""
    budget: Annotated[str, unset("TIME", "10m")] = "10m"
    """How long to measure, e.g. 90s, 10m, 1h30m; what was spent before counts."""
    folds: int = 5
    """Parts of the cross-validation, each the test set once."""
    repeats: int = 1
    """How often to cross-validate, with other parts."""
    classifier: Literal["logistic", "svm"] = "logistic"
    """On the features: logistic regression, or a linear support vector machine."""
    epochs: float = 5.0
    """Of fine-tuning."""
    scratch_epochs: float = 15.0
    """Of training from scratch."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.02
    """Of the new head in fine-tuning, with momentum; a step's gradient is shortened to norm 1."""
    pretrained_factor: float = 0.3
    """Pretrained stages learn at so much of it."""
    similarity: Annotated[
        Literal["similar", "different"] | None, unset("similar|different", "estimated")
    ] = None
    """Of your images to those that the network was trained on, for the lectures' tables."""
    margin: float = MARGIN
    """Points of accuracy that are of no consequence to you."""
    seed: int = 0
    """Of everything random."""
    out: Path = Path("results/advise")
    """Where everything goes; the same command goes on there."""
    list: bool = False
    """Print the options with what they cost, and measure nothing."""
    train: Annotated[str | None, unset("OPTION", "measure")] = None
    """Train this option, e.g. last-4, on all images but the test images, measure it on those, and
    keep it in OUT/model."""


def run(config: Config) -> None:
    """Measures what is missing and fits, and reports; or trains."""
    check(config)
    console = Console()
    budget = Budget(read_duration(config.budget), config.out / "budget.json")
    terms = from_flags(Terms, config)
    store = FeatureStore(config.out / "features", MOST_KEPT, reporter(console))
    protocol = Protocol(terms, config.data, config.weights, store)
    if config.list:
        console.print(_options_table(protocol))
        return
    if config.train is not None and config.train not in protocol.options:
        hint = did_you_mean(config.train, protocol.options)
        raise CnnjaxError(
            f"there is no option {config.train!r}; there are {', '.join(protocol.options)}{hint}"
        )
    claim_folder(config.out, STUDY, protocol.config)
    if config.train is not None:
        train_option(protocol, protocol.options[config.train], config.out / "model", console)
        return
    _measure(config, protocol, budget, console)


def _measure(config: Config, protocol: Protocol, budget: Budget, console: Console) -> None:
    def perform(run: Run, tools: Tools) -> Outcome:
        return protocol.perform(run, tools, budget)

    folder = Folder(protocol.plan, config.out, perform)
    with AdvisorProgress(folder, budget, protocol.options, console) as progress:
        left_out = Within(
            folder,
            budget,
            group_of,
            lambda run: protocol.rough(run, budget, seconds_of(folder.curves())),
            lambda run: budget.overhead if protocol.is_training(run) else 0.0,
            progress,
        ).execute()
    rows, curves = folder.rows(), folder.curves()
    measured = [row for row in rows if row["option"] != FEATURES]
    if not measured:
        need = budget.spent + sum(left_out.get(name, 0.0) for name in (FEATURES, *left_out)[:1])
        raise CnnjaxError(
            f"--budget {config.budget} is too small for anything: the features of "
            f"{len(protocol.pool):,} images alone take until {show_duration(need)}; give --budget "
            f"{2 * need / 60 + 0.5:.0f}m or more, fewer images, or a smaller --image-size"
        )
    summary = summarise(
        rows,
        protocol.options,
        splits=len(protocol.folds),
        test_to_train=protocol.test_to_train,
        margin=config.margin,
        per_class=len(protocol.folds[0].train) / protocol.pool.num_classes,
        similarity=config.similarity,
        left_out=left_out,
        stage_seconds=seconds_of(curves),
    )
    write_results(config.out / "curves.csv", curves, CURVE_COLUMNS)
    _report(config, protocol, budget, summary, rows, console)


def _report(
    config: Config,
    protocol: Protocol,
    budget: Budget,
    summary: Summary,
    rows: list,
    console: Console,
) -> None:
    facts = Facts(
        dataset=config.data,
        network=config.network,
        weights=protocol.source,
        images=len(protocol.pool),
        held_out=len(protocol.test),
        classes=protocol.pool.num_classes,
        image=protocol.image,
        folds=config.folds,
        repeats=config.repeats,
        learnt=len(protocol.folds[0].train),
        tested=len(protocol.folds[0].test),
        classifier=config.classifier,
        epochs=config.epochs,
        scratch_epochs=config.scratch_epochs,
        margin=config.margin,
        budget=budget.seconds,
        spent=budget.spent,
        command=command_line(config),
        train=command_line(config, summary.advice.chosen),
        machine="{devices} x {device}, {cpu_cores} cores, JAX {jax}".format(**machine()),
    )
    drawn = figure(summary, facts)
    written = [config.out / "results.csv", *save_figure(drawn, config.out / "figure")]
    write_results(written[0], [{k: row.get(k) for k in COLUMNS} for row in rows], COLUMNS)
    written.insert(0, config.out / "report.html")
    write_text(written[0], html(summary, facts, drawn))
    console.print(table("Every option, cheapest first", TABLE, table_rows(summary)))
    for sentence in verdict(summary, facts):
        console.print(sentence, highlight=False, markup=False)
    console.print(f"\n{facts.train}\n", highlight=False, markup=False, soft_wrap=True)
    for path in written:
        console.print(str(path), highlight=False, markup=False, soft_wrap=True)


def command_line(config: Config, train: str | None = None) -> str:
    """The command that makes the report, or trains an option: what is not as by default.

    >>> command_line(Config("folder:my photos", "lenet5", "w.npz", seed=3))
    "python scripts/advise.py --data 'folder:my photos' --network lenet5 --weights w.npz --seed 3"
    """
    words = ["python", "scripts/advise.py"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value == field.default or field.name in ("list", "train"):
            continue
        words += [f"--{field.name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *(() if train is None else ("--train", train))])


def check(config: Config) -> None:
    """Refuses numbers that cannot be."""
    check_numbers(
        config,
        folds=at_least(2),
        repeats=at_least(1),
        epochs=POSITIVE,
        scratch_epochs=POSITIVE,
        batch_size=at_least(1),
        learning_rate=POSITIVE,
        pretrained_factor=Allowed("0 to 1", lambda x: 0 < x <= 1),
        margin=Allowed("0 or more", lambda x: 0 <= x < inf),
        seed=SEED,
    )


def _options_table(protocol: Protocol) -> object:
    rows = [
        (option.name, option.label, option.case, f"{option.cost / 1e9:,.1f}")
        for option in protocol.options.values()
    ]
    title = f"{len(rows)} options, {len(protocol.folds)} splits each"
    return table(title, ("--train", "option", "case", "billion multiply-adds"), rows)


if __name__ == "__main__":
    command.main(Config, run, __doc__, resumes=True)
