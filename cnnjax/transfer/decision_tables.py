"""What the lectures say about which part to keep, as data.

Three slides decide by the size of the data set at hand and by how much its images are like those
that the network was trained on: a table in lecture 1, three principles with examples in lecture 2,
a list of cases in lecture 3 (which names <https://cs231n.github.io/transfer-learning/>, of the same
advice). They do not agree; the sharpest question, few images that are different, is one for a
measurement.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple, get_args

from cnnjax.errors import CnnjaxError, did_you_mean

Size = Literal["small", "medium", "large"]
Similarity = Literal["similar", "different"]
Stages = Literal["early", "last", "several", "all"]

LECTURE_1 = 'lecture 1, "When and how to fine-tune?"'
LECTURE_2 = 'lecture 2, "Guiding Principles for Fine-Tuning"'
LECTURE_3 = 'lecture 3, "How to choose the type of transfer learning"'

SOURCES = (LECTURE_1, LECTURE_2, LECTURE_3)


class Decision(NamedTuple):
    """A cell of a lecture's table.

    Attributes:
      source: lecture and slide, one of `SOURCES`.
      size: of the data set at hand.
      similarity: of its images to those of the pretrained network.
      advice: the slide's own words.
      case: which of the lectures' cases that is (lecture 3), 1 to 4.
      stages: in case 1 whose features are taken, "early" or "last"; else what is trained,
        the "last" few stages, "several" (or all, as one likes) or "all".
    """

    source: str
    size: Size
    similarity: Similarity
    advice: str
    case: int
    stages: Stages

    def __str__(self) -> str:
        return f'{self.source}: {self.summary} ("{self.advice}")'

    @property
    def summary(self) -> str:
        """In the project's words, e.g. "case 3, fine-tuning everything"."""
        last = self.stages == "last"
        what = {
            1: f"a classifier on features of {'the last stage' if last else 'early stages'}",
            2: f"fine-tuning {'the last stages' if last else 'several stages or all'}",
            3: "fine-tuning everything",
            4: "from scratch",
        }[self.case]
        return f"case {self.case}, {what}"


_LESS = (
    "The more similar your data and problem are to the source data of the pre-trained network, the "
    "less fine-tuning is necessary"
)
_MORE = (
    "The more data you have about your specific problem, the more the network will benefit from "
    "longer and deeper fine-tuning"
)
_LITTLE_VALUE = (
    "If your data is substantially different in nature than the data the source model was trained "
    "on, Transfer Learning may be of little value"
)

DECISIONS: tuple[Decision, ...] = (
    Decision(
        LECTURE_1,
        "small",
        "similar",
        "Train a classifier (Linear SVM) on top of bottleneck features",
        1,
        "last",
    ),
    Decision(LECTURE_1, "large", "similar", "Fine-tune several or all layers", 2, "several"),
    Decision(
        LECTURE_1,
        "small",
        "different",
        "Train a classifier on deep features of the CNN",
        1,
        "last",
    ),
    Decision(
        LECTURE_1,
        "large",
        "different",
        "Fine-tune all layers (use pre-trained weights as an initialization for your CNN)",
        3,
        "all",
    ),
    Decision(
        LECTURE_2,
        "small",
        "similar",
        f"{_LESS} ... If you have only 100 dogs and 100 cats in your training data, you probably "
        "want to do very little fine-tuning",
        2,
        "last",
    ),
    Decision(
        LECTURE_2,
        "large",
        "similar",
        f"{_MORE} ... If you have 10,000 dogs and 10,000 cats you may get more value from longer "
        "and deeper fine-tuning",
        2,
        "several",
    ),
    *(Decision(LECTURE_2, size, "different", _LITTLE_VALUE, 4, "all") for size in get_args(Size)),
    Decision(LECTURE_3, "small", "similar", "Use Case-1 of Transfer Learning", 1, "last"),
    Decision(LECTURE_3, "large", "similar", "Use Case-3 of Transfer Learning", 3, "all"),
    Decision(LECTURE_3, "medium", "similar", "Use Case-2 of Transfer Learning", 2, "last"),
    Decision(
        LECTURE_3,
        "small",
        "different",
        "Use Initial Layers and dump middle layers and use flatten and train a Shallow ML model",
        1,
        "early",
    ),
    Decision(
        LECTURE_3,
        "large",
        "different",
        "Initialize the Model using pretrained CNN and tune the whole model",
        3,
        "all",
    ),
)
"""Every cell, in the order of the lectures. Lecture 2 has principles and not a table: its first two
with their examples of a hundred and of ten thousand images a class, its third for any size."""


class Recommendation(NamedTuple):
    """All that the tables say about one situation.

    Attributes:
      size: of the data set.
      similarity: of its images to those of the pretrained network.
      decisions: one for each table that has an answer, in the order of the lectures.
      disagreement: what they do not agree on, in one sentence; "" where one training follows all.
      silent: the tables that have no answer.
    """

    size: Size
    similarity: Similarity
    decisions: tuple[Decision, ...]
    disagreement: str
    silent: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.size} data set, {self.similarity} images:"]
        lines += [f"  {decision}" for decision in self.decisions]
        lines += [f"  {source}: says nothing" for source in self.silent]
        if self.disagreement:
            lines.append(f"  {self.disagreement}")
        return "\n".join(lines)


def recommend(size: Size, similarity: Similarity) -> Recommendation:
    """What the lectures' decision tables say, and where they disagree.

    Args:
      size: "small" (lecture 2's example: a hundred images of each class), "medium" or "large" (ten
        thousand of each class).
      similarity: of the images to those that the network was trained on, "similar" or "different".

    Raises:
      CnnjaxError: an unknown size or similarity.

    >>> for decision in recommend("small", "different").decisions:
    ...     print(decision.summary)
    case 1, a classifier on features of the last stage
    case 4, from scratch
    case 1, a classifier on features of early stages
    >>> recommend("large", "similar").disagreement
    ''
    """
    for name, value, known in (
        ("size", size, get_args(Size)),
        ("similarity", similarity, get_args(Similarity)),
    ):
        if value not in known:
            raise CnnjaxError(
                f"there is no {name} {value!r} in the lectures' tables; expected one of "
                f"{', '.join(known)}{did_you_mean(str(value), known)}"
            )
    decisions = tuple(d for d in DECISIONS if (d.size, d.similarity) == (size, similarity))
    answering = {decision.source for decision in decisions}
    return Recommendation(
        size,
        similarity,
        decisions,
        _disagreement(decisions),
        tuple(source for source in SOURCES if source not in answering),
    )


def _disagreement(decisions: Sequence[Decision]) -> str:
    if all(_compatible(a, b) for a, b in combinations(decisions, 2)):
        return ""
    said: dict[str, list[str]] = {}
    for decision in decisions:
        said.setdefault(decision.summary, []).append(decision.source.partition(",")[0])
    parts = (f"{' and '.join(sources)}: {summary}" for summary, sources in said.items())
    return f"the lectures disagree: {'; '.join(parts)}"


def _compatible(a: Decision, b: Decision) -> bool:
    """Whether one and the same training follows both: "several" leaves the choice, up to all."""
    same = (a.case, a.stages) == (b.case, b.stages)
    return same or ("several" in (a.stages, b.stages) and {a.case, b.case} <= {2, 3})
