r"""Measures what the library costs, relative to the work that cannot be avoided.

    KERAS_BACKEND=jax python recipes/benchmark.py --what=steps

`steps` prints what each preset's training step costs relative to standard training, `attack` a PGD
step relative to one forward and input-only backward pass, `substitution` a replaced token relative
to one forward pass with the gradient by the embeddings (take `--size=small`: the text tower of
`tiny` is a bag of words, cheaper than the product of gradients and vocabulary), and `recall` exact
ranks of 5,000 images and 25,000 captions relative to their similarity product. Each row is the
median over repeats, and the quartiles, of the ratio to the baseline of the same repeat. What is
compared takes turns, so that a busy machine slows all alike; with `--clock=cpu` the time that other
processes take is not counted at all. `memory` evaluates as many images and captions, clean and
under PGD-1, and prints the most memory it took beyond the model. `clip` takes `rocmr` steps of a
CLIP of the shapes of ViT-B/32, with and without `rk.fine_tuning.rematerialize`, each in a process
of its own, and prints CPU time and memory (Linux only; try `--batch_size=8 --repeats=3`, and on JAX
the flag of XLA that `rematerialize` tells of). `first_step` prints the CPU seconds of the first
`rocmr` step, tracing included, and of one written by hand with the same arithmetic, each in a
process of its own (TensorFlow and JAX; try `--image_size=48 --batch_size=64 --repeats=3`).
`devices` prints by how much losses and weights after 20 steps on `--devices` differ from those on
one, of `--presets` (a processor is divided, or processes train). `chunks` takes `rocmr` steps
of growing batches, at once and with `chunk_size`, of an image tower with group normalisation, and
prints memory, CPU time and by how much the weights differ (Linux only). `data` prints
what packing, reading, waiting for data and a clean evaluation cost. `packs` reads an epoch of
`--images` from a made pack in the temporary folder with as many processes as `--processes` names,
and prints their private memory (Linux only; COCO is `--images=113000 --image_size=128`). `shards`
searches the first of `--gallery_sizes` with so many processes, each of which has a shard, and
compares the merged hits. `search` compares the indexes
on the first of `--gallery_sizes`, `--batch_size` queries at a time, with the product of all
vectors. `search_by_text` and `search_by_image` are requests of `--batch_size` to a SavedModel with
galleries of `--gallery_sizes`, relative to the bare tower.
Pixels and tokens are random, no cost depends on them; random embeddings are the slowest case of
`recall`.
"""

import tempfile
import time

import benchmark_chunks
import benchmark_clip
import benchmark_devices
import benchmark_first_step
import benchmark_packs
import benchmark_parts
import benchmark_shards
import keras
import numpy as np
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS
PARTS = ("steps", "attack", "substitution", "recall", "memory", "data", "clip")
PARTS += ("first_step", "devices", "chunks", "packs", "shards")
SEARCHES = ("search", "search_by_text", "search_by_image")

flags.DEFINE_enum("what", "steps", PARTS + SEARCHES, "What to measure.")
flags.DEFINE_enum("size", "tiny", sorted(rk.models.SIZES), "Size of the towers.")
flags.DEFINE_enum("image_tower", "cnn", ["cnn", "vit"], "Kind of image encoder.")
flags.DEFINE_integer("image_size", 64, "Side of the images in pixels.")
flags.DEFINE_integer("vocabulary_size", 2000, "Word pieces.")
flags.DEFINE_integer("sequence_length", 16, "Tokens of a caption.")
flags.DEFINE_integer("batch_size", 128, "Image-caption pairs in a batch.")
flags.DEFINE_list("batch_sizes", "64,256,1024,4096", "Batches of `chunks`.")
flags.DEFINE_integer("chunk_size", 64, "Pairs at a time of `chunks`.")
flags.DEFINE_integer("num_steps", 2, "PGD steps on either modality.")
flags.DEFINE_enum("text_attack", "embeddings", ["embeddings", "tokens"], "On texts.")
flags.DEFINE_list("candidates", "1,2,8,32", "Swaps of each caption tried exactly.")
flags.DEFINE_integer("images", 5000, "Images of `recall`, `memory`, `packs`, 5 captions each.")
flags.DEFINE_list("processes", "1,2", "Processes of `packs` and `shards`.")
flags.DEFINE_list("gallery_sizes", "1000,100000,1000000", "Items that are searched.")
flags.DEFINE_integer("repeats", 15, "Timed rounds.")
flags.DEFINE_enum("clock", "wall", ["wall", "cpu"], "Time that passes, or that is used.")
flags.DEFINE_list("presets", sorted(rk.trainers.PRESETS), "Presets to time.")
flags.DEFINE_integer("devices", 2, "Of `devices`.")
flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Of `devices`.")


def build_preprocessor():
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(draw.choice(letters, 6)) for _ in range(2 * FLAGS.vocabulary_size)]
    return rk.data.Preprocessor.from_captions(
        words,
        vocabulary_size=FLAGS.vocabulary_size,
        sequence_length=FLAGS.sequence_length,
        image_size=(FLAGS.image_size, FLAGS.image_size),
    )


def build_batch(preprocessor):
    draw, size = np.random.default_rng(0), FLAGS.batch_size
    shape = (size, preprocessor.sequence_length)
    return {
        "images": draw.random((size, FLAGS.image_size, FLAGS.image_size, 3), "float32"),
        "token_ids": draw.integers(4, preprocessor.vocabulary_size, shape, dtype="int32"),
        "padding_mask": np.ones(shape, bool),
        "image_ids": np.arange(size, dtype="int32"),
    }


def build_trainer(preset, model):
    terms = rk.trainers.PRESETS[preset]
    if not terms.retrieves():
        idle = [name for name in ("images", "texts") if not terms.refers(name)]
        model.freeze(**dict.fromkeys(idle, "all"), similarity=True)
    attacks = {}
    # As `training.py` has it.
    options = {"keep_best": False, "random_start": not terms.constant_clean_images}
    if terms.attacks("images"):
        attacks["image_attack"] = rk.attacks.PGD(8 / 255, FLAGS.num_steps, **options)
    if terms.attacks("texts"):
        embeddings = rk.attacks.EmbeddingPGD(0.5, FLAGS.num_steps, **options)
        tokens = rk.attacks.TokenSubstitution(1, num_candidates=8)
        attacks["text_attack"] = {"embeddings": embeddings, "tokens": tokens}[FLAGS.text_attack]
    trainer = rk.RoCMR(model, terms=terms, **attacks)
    trainer.compile(keras.optimizers.AdamW(1e-3))
    return trainer


def training_steps(build_model, batch):
    """Returns what a step of each preset does; `standard` comes first."""
    names = ["standard", *(name for name in FLAGS.presets if name != "standard")]
    trainers = {name: build_trainer(name, build_model()) for name in names}
    return {
        name: lambda trainer=trainer: trainer.train_on_batch(batch)
        for name, trainer in trainers.items()
    }


def measure(functions):
    """Times functions in turn, each once before it counts."""
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[FLAGS.clock]
    times = {name: [] for name in functions}
    bar = keras.utils.Progbar(FLAGS.repeats, unit_name="round")
    for function in functions.values():
        function()
    for _ in range(FLAGS.repeats):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(clock() - start)
        bar.add(1)
    return {name: np.array(values) for name, values in times.items()}


def report(times):
    baseline = next(iter(times))
    print(f"| {FLAGS.what}, {keras.config.backend()} | ratio | quartiles |\n|---|---|---|")
    for name, values in times.items():
        low, median, high = np.percentile(values / times[baseline], [25, 50, 75])
        print(f"| {name} | {median:.2f} | {low:.2f} - {high:.2f} |")
    print(f"{baseline}: {np.median(times[baseline]):.4f} s")


def table_without_model(sizes):
    """Returns the table of a part that makes its models itself, or has none; else `None`."""
    counts, size = list(map(int, FLAGS.processes)), FLAGS.batch_size
    if FLAGS.what == "clip":
        return benchmark_clip.table(size, FLAGS.num_steps, FLAGS.repeats)
    if FLAGS.what == "devices":
        return benchmark_devices.table(FLAGS.presets, FLAGS.devices, FLAGS.precision)
    if FLAGS.what == "packs":
        return benchmark_packs.table(FLAGS.images, FLAGS.image_size, size, counts)
    if FLAGS.what == "shards":
        return benchmark_shards.table(sizes[0], size, counts, FLAGS.repeats)
    return None


def main(_):
    sizes = list(map(int, FLAGS.gallery_sizes))
    table = table_without_model(sizes)
    if table is not None:
        return print(table)
    preprocessor = build_preprocessor()
    batch = build_batch(preprocessor)

    def build_model():
        return rk.models.build(FLAGS.size, preprocessor, FLAGS.image_tower)

    if FLAGS.what == "data":
        import benchmark_data  # Loads TensorFlow.

        return print(benchmark_data.table(build_model(), FLAGS.batch_size))
    if FLAGS.what == "first_step":
        config = keras.saving.serialize_keras_object(build_model())
        return print(benchmark_first_step.table(config, batch, FLAGS.num_steps, FLAGS.repeats))
    if FLAGS.what == "chunks":
        sizes = [int(size) for size in FLAGS.batch_sizes]
        parts = build_model(), batch, sizes, FLAGS.chunk_size, FLAGS.num_steps
        return print(benchmark_chunks.table(*parts))
    if FLAGS.what == "memory":
        return print(benchmark_parts.memory(build_model(), FLAGS.images, FLAGS.batch_size))
    if FLAGS.what == "steps":
        functions = training_steps(build_model, batch)
    elif FLAGS.what == "attack":
        functions = benchmark_parts.attack(build_model(), batch, FLAGS.num_steps)
    elif FLAGS.what == "substitution":
        counts = [int(count) for count in FLAGS.candidates]
        functions = benchmark_parts.substitution(build_model(), batch, counts)
    elif FLAGS.what == "recall":
        functions = benchmark_parts.recall(FLAGS.images)
    else:
        import benchmark_serving  # Needs the extra `serve`.

        modality = FLAGS.what.rpartition("_")[-1]
        if FLAGS.what == "search":
            return report(measure(benchmark_serving.indexes(sizes[0], FLAGS.batch_size)))
        with tempfile.TemporaryDirectory() as folder:
            functions = benchmark_serving.search(
                build_model(), modality, folder, sizes, FLAGS.batch_size
            )
    report(measure(functions))


if __name__ == "__main__":
    app.run(main)
