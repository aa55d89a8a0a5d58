"""What the lectures say about which part to keep, as data."""

from typing import Literal, NamedTuple

Size = Literal["small", "medium", "large"]
Similarity = Literal["similar", "different"]


class Decision(NamedTuple):
    """A cell of a lecture's table.

    Attributes:
      source: lecture and slide.
      size: of the data set at hand.
      similarity: of its images to those of the pretrained network.
      advice: the slide's own words.
      case: the lectures' case that this is, 1 to 4.
      stages: which stages' features, or which stages to train: "early", "last", "several", "all".
    """

    source: str
    size: Size
    similarity: Similarity
    advice: str
    case: int
    stages: str


class Recommendation(NamedTuple):
    """All that the tables say about one situation.

    Attributes:
      decisions: one for each table that has an answer.
      disagreement: in one sentence, what they do not agree on; "" where they do.
      silent: the tables that have no answer.
    """

    decisions: tuple[Decision, ...]
    disagreement: str
    silent: tuple[str, ...]


DECISIONS: tuple[Decision, ...] = ()


def recommend(size: Size, similarity: Similarity) -> Recommendation:
    """What the lectures' decision tables say, and where they disagree.

    Raises:
      CnnjaxError: an unknown size or similarity.
    """
    raise NotImplementedError
