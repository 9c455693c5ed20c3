"""The README's examples run as they are printed, one after the other."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"
# The most lines of each.
LINES = (22, 15)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    examples = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    for example, most in zip(examples, LINES, strict=True):
        assert len(example.strip().splitlines()) <= most
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for example in examples:
        exec(compile(example, str(README), "exec"), namespace)
    assert (tmp_path / "model.keras").stat().st_size > 0
    report = namespace["report"]
    assert report["counts"]["images"] == 64
    clean, pgd = report["clean"], report["attacks"]["pgd"]
    # An attack that keeps its best iterate cannot help retrieval.
    assert pgd["image_to_text"]["mean_rank"] >= clean["image_to_text"]["mean_rank"]
    assert "image->text" in capsys.readouterr().out
    fgsm = namespace["fgsm"]["attacks"]["fgsm"]
    assert fgsm["budget"]["image_attack"]["attack"] == "FGSM"
    assert fgsm["image_to_text"]["mean_rank"] > clean["image_to_text"]["mean_rank"]
