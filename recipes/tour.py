"""A tour in cells, for an editor that knows `# %%`, or as it is: `python recipes/tour.py`.

Loads emoji, trains a small model for some seconds, searches, attacks, and draws what it did into
`runs/tour`. About a minute on two cores.
"""

# %% Load: pictures of emoji and their names, from pip packages.
import pathlib

import keras

import rocmr_keras as rk

keras.utils.set_random_seed(0)
output = pathlib.Path("runs/tour")
splits = rk.data.load("emoji")
train, test = splits["train"].subset(512), splits["test"].subset(64)
print(train, test)

# %% Train: towers from scratch, against a small budget.
preprocessor = rk.data.Preprocessor.from_captions(train.captions, image_size=(32, 32))
model = rk.models.build("tiny", preprocessor)
trainer = rk.RoCMR(
    model,
    image_attack=rk.attacks.PGD(epsilon=4 / 255, num_steps=1, keep_best=False),
    text_attack=rk.attacks.EmbeddingPGD(epsilon=0.3, num_steps=1, keep_best=False),
)
trainer.compile(keras.optimizers.AdamW(2e-3))
trainer.fit(rk.data.batches(train, preprocessor, batch_size=64), epochs=8)

# %% Search: a text finds pictures.
gallery = rk.gallery.build_gallery(model, test)
query = keras.ops.convert_to_numpy(model.encode_texts([test.captions[0]]))
hits = gallery.search(query, k=3)
print(test.captions[0], "->", hits["names"][0], hits["scores"][0])

# %% Attack: what is left of recall when pixels or a word change.
attacks = {
    "noise": rk.attacks.RandomNoise(8 / 255),
    "pgd": rk.attacks.PGD(8 / 255, num_steps=10),
    "one word": rk.attacks.TokenSubstitution(candidates=rk.attacks.WholeWords()),
}
report = rk.evaluation.evaluate(model, test, attacks)
print(rk.evaluation.format_report(report))
print(rk.reports.verdict(report))

# %% Look: queries with what they find, and examples before and after.
rows = rk.evaluation.retrieval_rows(model, test)
rk.reports.pictures.retrieval_sheet(output / "retrieval.png", rows)
pairs = rk.evaluation.adversarial_pairs(model, test, attacks["pgd"], attacks["one word"])
rk.reports.pictures.adversarial_examples(output / "adversarial.png", pairs)
print(f"Pictures are in {output}.")
