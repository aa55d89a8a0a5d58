"""What the advisor says, in sentences."""

from dataclasses import dataclass

from cnnjax.advisor.lectures import LARGE, SMALL, Counsel
from cnnjax.advisor.options import Option
from cnnjax.advisor.summary import Entry, Summary
from cnnjax.studies.budget import show_duration
from cnnjax.studies.figures import data_title
from cnnjax.studies.resampling import Resampled


@dataclass(frozen=True)
class Facts:
    """What the page says besides what the rows tell.

    Attributes:
      dataset: its name, as given.
      network: its name.
      weights: whence they come.
      images: to choose by, training and validation images together.
      held_out: test images, which were not looked at.
      classes: how many.
      image: (height, width, channels).
      folds: of the cross-validation.
      repeats: of it.
      learnt: images in a training set.
      tested: images in a test set.
      classifier: of the probes.
      epochs: of fine-tuning.
      scratch_epochs: from scratch.
      margin: points that are of no consequence.
      budget: seconds.
      spent: seconds.
      command: that made the page.
      train: the command that trains what is recommended.
      machine: kind of device, cores, release of JAX.
    """

    dataset: str
    network: str
    weights: str
    images: int
    held_out: int
    classes: int
    image: tuple[int, int, int]
    folds: int
    repeats: int
    learnt: int
    tested: int
    classifier: str
    epochs: float
    scratch_epochs: float
    margin: float
    budget: float
    spent: float
    command: str
    train: str
    machine: str


def describe(option: Option, network: str, stages: int) -> str:
    """What to do, in a sentence."""
    if option.stage is not None:
        return f"keep {network} up to {option.stage}, and train a classifier on its features"
    if option.case == 2:
        kept = stages - option.last
        return f"keep the first {kept} stages, and fine-tune the last {option.last}, head included"
    if option.case == 3:
        return "fine-tune all stages from the pretrained weights"
    return "train from scratch, without the pretrained weights"


def verdict(summary: Summary, facts: Facts) -> list[str]:
    """The recommendation, why, and how sure it is."""
    advice, chosen = summary.advice, summary.chosen
    stages = max(entry.option.last for entry in summary.entries)
    what = describe(chosen.option, facts.network, stages)
    said = [f"{what[0].upper()}{what[1:]}."]
    said.append(
        f"Accuracy to be expected: {level(chosen)} on images like these; time of one training: "
        f"{show_duration(chosen.seconds)}."
    )
    if advice.rival is None:
        return [*said, "Nothing else was measured within the budget, so it is not compared."]
    rival, gain = summary.entry(advice.rival), advice.gain
    if advice.chosen == advice.best:
        cheaper = chosen.option.cost > summary.entries[0].option.cost
        why = "It is the best of all that was measured"
        why += ", and nothing cheaper comes within the noise of it" if cheaper else ""
        said.append(f"{why}. Next comes {rival.option.label}, {_behind(gain)}.")
    else:
        said.append(
            f"The best mean is that of {rival.option.label}, {level(rival)}. What is recommended "
            f"is the cheapest option that loses no more against it than the noise, one standard "
            f"error: it is {_behind(gain, turned=True)}."
        )
    if advice.worse == advice.worse:
        said.append(
            f"How sure is it? {advice.certainty().capitalize()}. The chance that "
            f"{rival.option.label} would be better by more than {facts.margin:g} "
            f"point{'' if facts.margin == 1 else 's'} is {_chance(advice.worse)}, that it would be "
            f"worse by as much {_chance(advice.better)}."
        )
    else:
        said.append("How sure is it? Not known: one split says nothing of the noise.")
    if chosen.option.case == 4 and facts.epochs < facts.scratch_epochs:
        said.append(
            f"Fine-tuning had {facts.epochs:g} epochs and this {facts.scratch_epochs:g}: whether "
            "the pretrained weights are a good start for as long a training, --epochs "
            f"{facts.scratch_epochs:g} will tell."
        )
    if summary.spoilt:
        named = ", ".join(entry.option.label for entry in summary.spoilt)
        said.append(
            f"Fine-tuned below the classifier that it began with: {named}. That is no fair trial "
            "of it; a smaller --learning-rate or --pretrained-factor may be one."
        )
    return said


def lectures(summary: Summary, facts: Facts) -> list[str]:
    """What the tables say for such a data set, and where they and the measurement part."""
    per_class = facts.learnt / facts.classes
    said = [
        f"Size: {summary.size}, {per_class:,.0f} training images a class (small: up to {SMALL:,}; "
        f"large: from {LARGE:,}). Similarity to what the network was trained on: "
        f"{summary.likeness.similarity or 'not known'}, {summary.likeness.why}."
    ]
    if summary.likeness.similarity is None:
        return [*said, "Without it the tables say nothing; give --similarity."]
    if summary.disagreement:
        said.append(f"{summary.disagreement[0].upper()}{summary.disagreement[1:]}.")
    if others := [counsel for counsel in summary.counsels if not counsel.agrees]:
        said.append(
            f"{len(others)} of {len(summary.counsels)} advise another option than what is "
            "recommended here."
        )
    else:
        said.append("What is recommended here follows every advice.")
    return said


def counsel_row(counsel: Counsel, summary: Summary) -> tuple[str, ...]:
    """A line of the table of the lectures' advice."""
    if counsel.best is None:
        measured = "not measured"
    else:
        entry = summary.entry(counsel.best)
        measured = f"{entry.option.label}: {level(entry)}"
    outcome = "as recommended here"
    if not counsel.agrees:
        behind = counsel.behind
        outcome = "another than here" if behind is None else f"another than here: {_points(behind)}"
    return counsel.decision.source, counsel.decision.advice, measured, outcome


def method(summary: Summary, facts: Facts) -> list[str]:
    """How, and what it does not tell."""
    height, width, channels = facts.image
    return [
        f"{facts.images:,} images of {facts.classes} classes, {height} x {width} x {channels}: the "
        f"training and validation images of {data_title(facts.dataset)}. Its {facts.held_out:,} "
        "test images were not looked at: they are for the model that is trained in the end.",
        f"{splits(facts).capitalize()}: all options learn from the same {facts.learnt:,} and are "
        f"tested on the same {facts.tested:,} images, so that differences are paired. Training "
        "sets overlap; intervals and errors are corrected for it (Nadeau & Bengio 2003).",
        "The choice: the cheapest option, by the multiply-adds of a training, that loses no more "
        "against the best than one standard error of that loss (Breiman et al. 1984). Chances are "
        "those of the Bayesian correlated t-test (Corani & Benavoli 2015).",
        "The best of many options owes a part of its lead to chance, and its accuracy is rather "
        "too high than too low; the test images will say what is left of it.",
        f"Case 1 is a {facts.classifier} classifier on standardised features; fine-tuning takes "
        f"{facts.epochs:g} epochs, with the smaller rate for pretrained stages and a head that "
        f"begins as that classifier; from scratch it is {facts.scratch_epochs:g} epochs. Nothing "
        "is augmented, and no setting was searched for: longer training, augmentation and another "
        "rate favour the expensive options.",
        f"{facts.network} with weights of {facts.weights}. Measuring took "
        f"{show_duration(facts.spent)} of a budget of {show_duration(facts.budget)} on "
        f"{facts.machine}. The time of one training is the median over the splits, and the "
        "forward passes of the stages that are not trained.",
    ]


def splits(facts: Facts) -> str:
    times = f", {facts.repeats} times" if facts.repeats > 1 else ""
    return f"{facts.folds}-fold cross-validation{times}"


def level(entry: Entry) -> str:
    interval = entry.accuracy.interval()
    mean = f"{entry.accuracy.mean:.1f} %"
    return (
        mean
        if interval.low != interval.low
        else (f"{mean} (95 % interval {interval.low:.1f} to {min(interval.high, 100):.1f})")
    )


def _points(difference: object) -> str:
    return f"{difference.interval()} points"


def _behind(gain: Resampled, turned: bool = False) -> str:
    """By how much the rival is behind what is chosen, or turned about."""
    sign = -1 if turned else 1
    mean, ends = sign * gain.mean, gain.interval()
    low, high = sorted((sign * ends.low, sign * ends.high))
    said = f"{abs(mean):.1f} points {'behind' if mean >= 0 else 'ahead'}"
    return (
        said if low != low else f"{said} (95 % interval of the difference {low:.1f} to {high:.1f})"
    )


def _chance(probability: float) -> str:
    if probability < 0.01:
        return "below 1 %"
    return "above 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
