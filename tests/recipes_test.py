"""The recipes run from the command line, and an interrupted run goes on."""

import csv
import functools
import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import rocmr_keras as rk

ROOT = pathlib.Path(__file__).parents[1]
COLORS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (30, 60, 220)}
WORDS = ("square", "field", "surface", "patch")


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """What one process has compiled on JAX, the next one need not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield
        if forks.cache_info().currsize:
            forks().communicate()
            forks.cache_clear()


@functools.cache
def forks():
    """The process that recipes are forked from, see `recipe_forks.py`."""
    command = [sys.executable, str(pathlib.Path(__file__).with_name("recipe_forks.py"))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """A CSV of coloured squares, each with a caption, a split and an id."""
    folder = tmp_path_factory.mktemp("squares")
    draw = np.random.default_rng(0)
    rows = []
    for split, count in (("train", 16), ("validation", 3), ("test", 6)):
        for index in range(count):
            color = list(COLORS)[index % len(COLORS)]
            pixels = np.full((24, 24, 3), COLORS[color]) + draw.integers(-25, 25, (24, 24, 3))
            name = f"{split}-{index}.png"
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / name)
            text = f"a {color} {WORDS[index % len(WORDS)]} number {split}{index}"
            rows.append({"filepath": name, "caption": text, "split": split})
    path = folder / "captions.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["filepath", "caption", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(recipe, *flags, cwd=ROOT):
    code, out, errors = fork(recipe, *flags, cwd=cwd)
    assert code == 0, out + errors
    return out


def fork(recipe, *flags, cwd=ROOT):
    request = [str(cwd), str(ROOT / "recipes" / recipe), *map(str, flags)]
    forks().stdin.write(json.dumps(request) + "\n")
    forks().stdin.flush()
    return json.loads(forks().stdout.readline())


def small(captions, output):
    return [
        "--dataset=csv",
        f"--captions={captions}",
        f"--images={captions.parent}",
        f"--output={output}",
        "--image_size=16",
        "--vocabulary_size=60",
        "--sequence_length=8",
        "--batch_size=8",
        "--image_steps=1",
        "--text_steps=1",
        "--eval_steps=2",
        "--eval_epsilons=8/255",
        "--eval_candidates=4",
    ]


def tuning(captions, output):
    """The flags of `finetune.py`, which takes vocabulary and length from the model."""
    own = ("--vocabulary_size", "--sequence_length")
    return [flag for flag in small(captions, output) if not flag.startswith(own)]


def test_train_resume_and_compare(captions, tmp_path):
    flags = [*small(captions, tmp_path / "rocmr-0"), "--keep_best"]
    run("train.py", "--epochs=1", "--evaluate_on=none", *flags)
    assert not (tmp_path / "rocmr-0" / "report.json").exists()
    out = run("train.py", "--epochs=2", "--resume", *flags)
    assert "Restoring model weights from the end of the best epoch: 2" in out
    assert "pgd2 8/255" in out and "protocol: both" in out
    assert "recall@1, protocol query: image→text" in out and "caution: " in out
    with open(tmp_path / "rocmr-0" / "history.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(0 <= float(row["val_adversarial_recall_at_1"]) <= 1 for row in rows)
    written = {path.name for path in (tmp_path / "rocmr-0").iterdir()}
    assert written >= {
        "adversarial.png",
        "epsilon.png",
        "flags.txt",
        "history.csv",
        "model.keras",
        "report.html",
        "report.json",
        "retrieval.png",
        "state.npz",
    }
    assert not [name for name in written if "writing" in name]
    assert "--image_epsilon=8/255" in (tmp_path / "rocmr-0" / "flags.txt").read_text()
    report = json.loads((tmp_path / "rocmr-0" / "report.json").read_text())
    assert report["run"]["flags"]["epochs"] == 2
    assert {"keras", "numpy", "python", "rocmr_keras", keras.config.backend()} <= set(
        report["run"]["versions"]
    )
    assert report["attacks"]["one token"]["budget"]["text_attack"]["seed"] == 0
    masks = [report["attacks"][f"both, one {noun}"] for noun in ("word", "token")]
    masks = [run["budget"]["text_attack"]["candidates"] for run in masks]
    assert masks[0]["class_name"] == "WholeWords" and masks[1] is None
    edited = report["attacks"]["one edit"]
    assert {"icon", "number"} <= set(edited["budget"]["text_attack"]["fillers"])
    assert edited["text_changes"]["text_to_image"]["words"]["most"] in (1, 2)
    page = (tmp_path / "rocmr-0" / "report.html").read_text("utf-8")
    assert "Worst failures" in page and "pgd2 8/255" in page
    recall = 100 * report["clean"]["image_to_text"]["recall_at_1"]
    folder = tmp_path / "compare"
    compare = ["compare.py", f"--runs={tmp_path}/rocmr-0", f"--output={folder}"]
    assert f"| rocmr | {recall:.1f} /" in run(*compare)
    named = ("--dataset", "--captions")
    data = [flag for flag in flags if flag.split("=")[0] in named]
    attacks = ["--attacks=listed", "--eval_epsilons=8/255", "--eval_steps=1", "--k=1"]
    table = run(*compare, *attacks, "--transfer", *data)
    assert f"| rocmr | {recall:.1f} /" in table and f"| none | {recall:.1f} |" in table
    written = {path.name for path in folder.iterdir()}
    assert written == {"report.html", "rocmr-0", "tables.md", "transfer.json", "transfer.png"}
    tuned = tuning(captions, tmp_path / "fare-0")
    model = f"--model={tmp_path}/rocmr-0/model.keras"
    options = ["--preset=fare", "--freeze_images=1", "--layer_decay=0.5", "--ema=0.5"]
    options += ["--hard_negatives=4", "--check_leaks"]
    run("finetune.py", model, "--epochs=1", "--evaluate_on=none", *options, *tuned)
    written = {path.name for path in (tmp_path / "fare-0").iterdir()}
    assert written == {".lock", "flags.txt", "history.csv", "model.keras", "state.npz"}
    text = (tmp_path / "fare-0" / "flags.txt").read_text()
    assert "--layer_decay=0.5" in text and "--image_epsilon=8/255" in text
    paths = [tmp_path / name / "model.keras" for name in ("rocmr-0", "fare-0")]
    texts = [keras.saving.load_model(path).text_encoder.get_weights() for path in paths]
    for before, after in zip(*texts, strict=True):
        np.testing.assert_array_equal(before, after)
    if keras.config.backend() == "tensorflow":  # Elsewhere it is a process more.
        export_and_verify(tmp_path, data)
        pack_and_embed(tmp_path, data)
        evaluate_a_few(tmp_path)
    if keras.config.backend() == "torch":  # Elsewhere compiling it takes minutes.
        tune_texts(captions, tmp_path)
        train_beside(captions, tmp_path)
        output = f"--output={tmp_path}/auto"
        rows = [f"--rows={tmp_path}/rows.csv", f"--rows_images={tmp_path}/rows"]
        auto = ["--attacks=fast", "--eval_norm=l2", "--eval_both=0.5"]
        out = run("evaluate.py", model, output, *data, *auto, *rows)
        assert "auto both" in out and "captions under auto query: 1 word, edit or char" in out
        with open(tmp_path / "rows.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["attack"] for row in rows} == {"auto query", "auto both"} and len(rows) == 24
        pictures = {row["adversarial_image"] for row in rows} - {""}
        assert pictures == {f"rows/{path.name}" for path in (tmp_path / "rows").glob("*")}
        report = json.loads((tmp_path / "auto" / "report.json").read_text())
        assert report["attacks"]["auto query"]["budget"]["norm"] == "l2"
        assert "under auto query" in (tmp_path / "auto" / "report.html").read_text("utf-8")
        output = f"--output={tmp_path}/joint"
        flags = ["--eval_steps=1", "--eval_candidates=2", "--eval_epsilons=8/255"]
        out = run("evaluate.py", model, output, *data, *flags, "--attacks=joint", "--audit")
        assert "of 6 groups, at least as strong as" in out
        report = json.loads((tmp_path / "joint" / "report.json").read_text())
        assert set(report["margins"]["alternating"]["at_least_as_strong"].values()) == {6}
        verdict = report["audit"]["verdict"]
        assert verdict in ("sound", "caution", "masked") and f"audit: {verdict}. " in out
        publish(tmp_path, data)
        demonstrate(tmp_path, data)


def publish(folder, data):
    """A published protocol, what it does to another model, and the table of two entries."""
    model, other = (f"{folder}/{name}/model.keras" for name in ("rocmr-0", "fare-0"))
    flags = [f"--model={model}", f"--output={folder}/sga", *data, "--eval_steps=1"]
    flags += ["--protocol=sga", f"--transfer_to={other}", f"--entry={folder}/board/rocmr.json"]
    out = run("evaluate.py", *flags, "--eval_candidates=2", "--eval_epsilons=8/255")
    assert "| attacked | model | other |" in out and "protocol: both" in out
    report = json.loads((folder / "sga" / "report.json").read_text())
    transfer = report["transfer"]["directions"]["image_to_text"]
    own = report["attacks"]["sga"]
    assert own["budget"]["image_attack"]["epsilon"] == pytest.approx(2 / 255)
    for name in ("recall_drop", "attack_success_rate"):
        assert transfer[name][0][0] == pytest.approx(own[name]["image_to_text"])
    path = folder / "board" / "rocmr.json"
    entry = json.loads(path.read_text())
    loaded = keras.saving.load_model(model)
    assert entry["model"]["sha256"] == rk.evaluation.weights_sha256(loaded)
    (folder / "board" / "again.json").write_text(path.read_text())
    table = run("compare.py", f"--entries={folder}/board", f"--output={folder}/table")
    assert "| rocmr | none |" in table and "| again | none |" in table
    assert (folder / "table" / "tables.md").read_text("utf-8").strip() == table.strip()


def demonstrate(folder, data):
    """The demo, from a model that is there; run again it keeps what is finished."""
    flags = [f"--model={folder}/rocmr-0/model.keras", f"--output={folder}/demo", *data]
    flags += ["--epochs=1", "--presets=standard,tecoa"]
    out = run("demo.py", *flags)
    assert "standard: epoch 1: loss " in out and "tecoa: epoch 1: loss " in out
    assert (
        "tecoa: attacked by query, APGD, contrastive" in out and out.count("compare.py took ") == 1
    )
    assert "| standard | " in out and "| tecoa | " in out and " minutes." in out
    written = {path.name for path in (folder / "demo").iterdir()}
    assert written >= {"attacked.png", "retrieval.png", "epsilon.png", "report.html", "tables.md"}
    report = json.loads((folder / "demo" / "tecoa" / "report.json").read_text())
    budget = report["attacks"]["auto query"]["budget"]
    assert budget["epsilon"] == pytest.approx(2 / 255)
    again = run("demo.py", *flags, "--resume")
    assert again.count(" is there.") == 6 and "| tecoa | " in again


@pytest.mark.skipif(keras.config.backend() != "torch", reason="it compiles longer elsewhere")
def test_tour(tmp_path):
    out = run("tour.py", cwd=tmp_path)
    assert "recall@1, protocol query: image→text" in out
    written = {path.name for path in (tmp_path / "runs" / "tour").iterdir()}
    assert written == {"adversarial.png", "retrieval.png"}


def test_no_test_split_is_said_before_training(captions, tmp_path):
    rows = [row for row in captions.read_text("utf-8").splitlines() if not row.endswith(",test")]
    path = captions.parent / "without.csv"
    path.write_text("\n".join(rows), "utf-8")
    code, out, errors = fork("train.py", *small(path, tmp_path / "run"))
    assert code != 0
    assert "Received: the splits train, validation." in out + errors
    assert "--test_share=0.1" in out + errors
    assert not (tmp_path / "run" / "model.keras").exists()
    data = f"--dataset=csv --captions={path} --images={path.parent} --test_share=0.25".split()
    pack = ["pack.py", *data, f"--output={tmp_path}/packs", "--image_size=16"]
    assert "test" in run(*pack)


def test_benchmark():
    small = ["--image_size=16", "--vocabulary_size=60", "--batch_size=2", "--repeats=1"]
    out = run("benchmark.py", "--what=attack", "--num_steps=1", *small)
    assert "| 1 x (forward + input backward) | 1.00 | 1.00 - 1.00 |" in out
    assert "| PGD-1, best iterate | " in out
    out = run("benchmark.py", "--what=memory", "--images=6", *small)
    assert "6 images, 30 captions: at most " in out


def export_and_verify(folder, data):
    # As `keras.callbacks.ModelCheckpoint` leaves it: the trainer, with the model inside.
    model = keras.saving.load_model(folder / "rocmr-0" / "model.keras")
    rk.RoCMR(model, terms="standard").save(folder / "rocmr-0" / "epoch-1.keras")
    flags = [f"--model={folder}/rocmr-0/epoch-1.keras", f"--output={folder}/serving", *data]
    out = run("export.py", *flags, "--index=ivf", "--num_cells=2", "--num_probes=2")
    assert "search_by_text(k: int32, texts: string [None])" in out
    assert "6 items, recall@10 of --index=ivf: 1.000" in out
    manifest = rk.export.verify(folder / "serving" / "1")
    assert "--epochs=2" in manifest["flags"] and manifest["report"]["run"]["flags"]["epochs"] == 2
    assert [path.name for path in (folder / "serving").iterdir()] == ["1"]
    update = ["update.py", flags[0], flags[1], f"--images={folder}/more"]
    (folder / "more").mkdir()
    for name, pixels in (("test-0", 0), ("new", 200)):
        Image.fromarray(np.full((24, 24, 3), pixels, "uint8")).save(folder / "more" / f"{name}.png")
    ids = rk.export.read_gallery(folder / "serving" / "1").ids
    out = run(*update, f"--remove={ids[1]},{ids[2]}")
    assert f"{folder}/serving/2: 5 items, 1 embedded, 2 removed since {folder}/serving/1." in out
    gallery = rk.export.read_gallery(folder / "serving" / "2")
    assert gallery.names[0] == "test-0.png" and gallery.names[-1] == "new.png"
    assert gallery.ids.tolist() == [*np.delete(ids, [1, 2]), ids.max() + 1]
    assert rk.export.verify(folder / "serving" / "2")["gallery"]["index"]["num_cells"] == 2
    assert "5 items, nothing to change." in run(*update)


def pack_and_embed(folder, data):
    model = f"--model={folder}/rocmr-0/model.keras"
    run("command_line.py", "pack", model, f"--output={folder}/packs", *data)
    assert len(rk.data.open_pack(folder / "packs" / "test")) == 6
    assert {path.name for path in (folder / "packs").iterdir() if path.is_dir()} == {
        *("train", "validation", "test")
    }
    output = folder / "squares.gallery"
    asked = ["--items=test", f"--output={output}", "--query=a red square", "--k=2"]
    columns = ["--image_column=filepath", "--caption_column=caption", "--csv_separator=,"]
    out = run("command_line.py", "embed", model, *asked, *columns, *data)
    gallery = rk.gallery.Gallery.load(output)
    assert len(gallery) == 6 and len(re.findall(r"-?0\.\d{3}  test-\d.png", out)) == 2
    assert not pathlib.Path(f"{output}.chunks").exists()


def tune_texts(captions, folder):
    """LEAF, against edits of characters and against a token."""
    flags = tuning(captions, folder / "leaf")
    flags += ["--preset=leaf", "--text_candidates=2", "--epochs=1", "--evaluate_on=none"]
    model = f"{folder}/rocmr-0/model.keras"
    run("finetune.py", f"--model={model}", "--text_attack=characters", *flags)
    before, after = (keras.saving.load_model(path) for path in (model, folder / "leaf/model.keras"))
    for old, new in zip(before.image_encoder.get_weights(), after.image_encoder.get_weights()):
        np.testing.assert_array_equal(old, new)
    tables = [model.text_encoder.get_weights()[0] for model in (before, after)]
    assert np.abs(tables[0] - tables[1]).max() > 1e-6
    again = [f"--model={model}", "--overwrite", *flags]
    run("finetune.py", "--text_attack=edits", *again)
    run("finetune.py", "--text_attack=tokens", "--notext_look_ahead", "--text_drawn=9", *again)
    assert "--notext_look_ahead" in (folder / "leaf" / "flags.txt").read_text()


def train_beside(captions, folder):
    """A fresh image tower beside the texts of a trained model, at another size of image."""
    trained = f"{folder}/rocmr-0/model.keras"
    flags = [*small(captions, folder / "beside"), f"--text_tower={trained}", "--image_size=24"]
    objective = ["--preset=rocmr_image_only", "--constant_clean_images"]
    run("train.py", *objective, "--epochs=1", "--evaluate_on=none", *flags)
    before, after = (keras.saving.load_model(p) for p in (trained, folder / "beside/model.keras"))
    for old, new in zip(before.text_encoder.get_weights(), after.text_encoder.get_weights()):
        np.testing.assert_array_equal(old, new)
    images = [model.image_encoder.get_weights()[0] for model in (before, after)]
    assert np.abs(images[0] - images[1]).max() > 1e-6
    assert after.preprocessor.image_size == (24, 24)


def evaluate_a_few(folder):
    """On the data that the model was trained on, which no flag names."""
    flags = [f"--model={folder}/fare-0/model.keras", f"--output={folder}/few"]
    flags += ["--universal", "--certify=0.1", "--certify_copies=20"]
    out = run("evaluate.py", *flags, "--attacks=none", "--eval_images=4")
    assert (
        "pgd" not in out and "--dataset=csv" in out and "| l2 radius | certified recall@1 |" in out
    )
    written = {path.name for path in (folder / "few").iterdir()}
    assert written == {"flags.txt", "report.json", "certified.png"}
    report = json.loads((folder / "few" / "report.json").read_text())
    assert report["counts"] == {"images": 4, "texts": 4} and not report["attacks"]
    assert report["universal"]["budget"]["seen"] == 2
    assert report["certified"]["recall"][0] <= 1 and report["certified"]["radius"][-1] > 0
    run("compare.py", f"--runs={folder}/few", f"--output={folder}/together")
    assert (folder / "together" / "certified.png").exists()
