"""The README's promises."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_examples_run_as_printed():
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    names = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert names["net"].stages[0] == "conv1"
    assert names["logits"].shape == (8, 10)
    assert (names["logits"] == names["net"].apply(names["variables"], names["images"])).all()
    assert names["augmented"].shape == (8, 32, 32, 3)
    assert names["optimizer"].init(names["variables"]["params"])


def test_every_file_it_links_to_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_command_it_prints_is_there():
    scripts = re.findall(r"python ((?:scripts|experiments)/\w+\.py)", README)
    assert len(scripts) >= 8
    for script in scripts:
        assert (ROOT / script).is_file(), script


def test_both_commands_install_before_they_run():
    commands = [line for line in README.splitlines() if line.startswith("test -d .venv")]
    assert len(commands) == 2
    assert all("pip install" in command for command in commands)
