"""What the slides print: each fact is either right or says what is wrong with it."""

import pytest
from lecture_counts import QUANTITIES, agrees, facts, read_arguments

FACTS = facts()


@pytest.mark.parametrize("number", range(1, 6))
def test_a_fact_agrees_or_says_what_is_wrong(number):
    of_lecture = [fact for fact in FACTS if fact.lecture == number]
    assert of_lecture
    for fact in of_lecture:
        assert fact.agrees() == (fact.wrong == ""), fact


def test_every_quantity_is_printed_somewhere():
    assert {fact.quantity for fact in FACTS} == set(QUANTITIES)


def test_the_slides_that_are_wrong_are_these():
    wrong = {
        (fact.network, *fact.stages, fact.quantity, fact.printed) for fact in FACTS if fact.wrong
    }
    assert wrong == {
        ("lenet5", "c3", "stride", "2"),
        ("alexnet", "parameters", "60 million"),
        ("alexnet", "parameters", "61 million"),
        ("alexnet", "parameters", "62369152"),
        ("alexnet", "parameters", "62.3 million"),
        ("alexnet", "fc6", "parameters", "37748736"),
        ("alexnet", "fc7", "parameters", "16777216"),
        ("alexnet", "fc8", "parameters", "4096000"),
        ("alexnet", "fc6", "fc7", "size", "nearly 1 GB"),
        ("alexnet", "conv1", "kernel", "49"),
        ("vgg16", "depth", "23"),
        ("vgg19", "depth", "26"),
        ("vgg19", "size", "549 MB"),
        ("xception", "size with statistics", "88 MB"),
        ("xception", "depth", "126"),
        ("resnet34", "multiply-adds", "3.6 billion"),
    }


@pytest.mark.parametrize(
    ("printed", "value", "verdict"),
    [
        ("61706", 61_706, True),
        ("61706", 61_705, False),
        ("134,268,738", 134_268_738, True),
        ("12.4 Million", 12_443_648, True),
        ("12.4 Million", 12_451_000, False),
        ("19.6 billion", 19_632_062_464, True),
        ("528 MB", 528 * 2**20, True),
        ("nearly 1 GB", 218_136_576, False),
        ("6 %", 0.06007, True),
        ("6 %", 0.066, False),
        ("eight", 8, True),
        ("(224, 224, 64)", (224, 224, 64), True),
        ("64 x 224 x 224", (224, 224, 64), True),
        ("7x7", (7, 7), True),
        ("7x7", (5, 5, 1), False),
        ("16 x 10 x 10", (5, 5, 16), False),
        ("(4096)", (4096,), True),
        ("less than 1200x1200", 1_439_999, True),
        ("less than 1200x1200", 1_440_000, False),
    ],
)
def test_a_slide_agrees_where_its_digits_do(printed, value, verdict):
    assert agrees(printed, value) is verdict


def test_arguments_are_python_literals():
    assert read_arguments("") == {}
    assert read_arguments("kernels=(1, 5); padding='same'") == {
        "kernels": (1, 5),
        "padding": "same",
    }
