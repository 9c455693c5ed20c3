"""The README's example runs as it is printed."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(example.strip().splitlines()) <= 22
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(compile(example, str(README), "exec"), namespace)
    assert (tmp_path / "model.keras").stat().st_size > 0
    report = namespace["report"]
    assert report["counts"]["images"] == 64
    clean, pgd = report["clean"], report["attacks"]["pgd"]
    # An attack that keeps its best iterate cannot help retrieval.
    assert pgd["image_to_text"]["mean_rank"] >= clean["image_to_text"]["mean_rank"]
    assert "image->text" in capsys.readouterr().out
