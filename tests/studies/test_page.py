import re
from html.parser import HTMLParser

from matplotlib.figure import Figure

from cnnjax.studies.page import command, drawing, listing, page, paragraph, table

EVIL = "<script>alert(1)</script> & \"'"


class Reader(HTMLParser):
    """Tags that are left open, what is shown, and all attributes."""

    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def figure(label="accuracy"):
    drawn = Figure(figsize=(3, 2))
    axes = drawn.subplots()
    axes.plot([1, 2], [3, 4], label=label)
    axes.set_title(label)
    return drawn


def whole():
    parts = [paragraph(EVIL, "note"), listing([EVIL]), command(EVIL), table([EVIL], [[EVIL]])]
    return page(EVIL, [*parts, drawing(figure(EVIL), EVIL)])


def test_whatever_a_text_holds_it_stays_text():
    reader = read(whole())
    assert "script" not in reader.tags
    assert reader.text.count("alert(1)") >= 7


def test_the_page_asks_for_nothing_from_elsewhere():
    text = whole()
    reader = read(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    for name, value in reader.attributes:
        assert not name.startswith("on")
        if name.endswith(("href", "src")):
            assert value.startswith("#")
    # Names of XML namespaces are no places to fetch from.
    bare = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "http" not in bare.replace("http-equiv", "")
    assert "url(http" not in text
    assert "@import" not in text


def test_a_drawing_is_part_of_the_page():
    text = drawing(figure(), "What it shows")
    assert text.count("<svg") == 1
    assert "<?xml" not in text
    assert "What it shows</figcaption>" in text
    assert "accuracy" in text
    assert text == drawing(figure(), "What it shows")


def test_the_chosen_row_stands_out_and_nothing_is_an_empty_cell():
    text = table(["option", "accuracy"], [["a", None], ["b", "91.0"]], marked=1)
    assert text.count('<tr class="marked">') == 1
    assert '<tr class="marked"><td>b</td><td>91.0</td></tr>' in text
    assert "<td></td>" in text


def test_a_name_that_is_no_unicode_can_be_written():
    page("caf\udce9", []).encode("utf-8")
