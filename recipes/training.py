"""What `train.py` and `finetune.py` share: objective, attacks, optimizer and the loop."""

import contextlib
import os

import common_flags
import run_folder
import run_report
import validation
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

#: Of `rk.trainers.PRESETS`, which is not loaded before flags are read.
PRESETS = """
    fare leaf mat mmcoa rocmr rocmr_image_only rocmr_text_only standard tecoa villa
""".split()


def define_training_flags(epochs, learning_rate, weight_decay):
    """Defines objective, budgets, schedule and output; the defaults are the recipe's."""
    flags.DEFINE_string("output", "runs/train", "Folder for everything the run writes.")
    run_folder.define_flags()
    flags.DEFINE_string("pack", None, "Folder that keeps decoded training images.")
    flags.DEFINE_enum("preset", "rocmr", PRESETS, "Training objective.")
    flags.DEFINE_list(
        "terms", None, "Weights instead of the preset's: clean=0.1,adversarial_pairs=0.9."
    )
    common_flags.define_budget("image_epsilon", 8 / 255, "Training budget, linf on [0, 1].")
    flags.DEFINE_integer("image_steps", 2, "PGD steps on images in training.")
    flags.DEFINE_bool(
        "constant_clean_images", False, "Take clean images from the attack's pass; a third cheaper."
    )
    _define_text_attack_flags()
    flags.DEFINE_float("warmup", 0.3, "Share of the steps over which budgets rise from 0.")
    flags.DEFINE_integer("epochs", epochs, "Passes over the images.")
    flags.DEFINE_integer("batch_size", 64, "Image-caption pairs in a batch.")
    flags.DEFINE_integer(
        "chunk_size", None, "Pairs at a time, for batches larger than memory; none: all.", 1
    )
    flags.DEFINE_float("learning_rate", learning_rate, "Peak of a warm-up and cosine schedule.")
    flags.DEFINE_float("weight_decay", weight_decay, "Of AdamW.")
    flags.DEFINE_float("shift", 0.1, "Augmentation: the most an image moves, of its side.")
    flags.DEFINE_bool("mirror", False, "Augmentation: mirror half of the images.")
    flags.DEFINE_enum(
        "precision", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "Policy."
    )
    validation.define_flags()
    flags.DEFINE_string("devices", "1", "A number or all; torchrun says how many processes.")
    flags.register_validator(
        "devices",
        lambda value: value == "all" or value.isdigit() and int(value) > 0,
        "write a number, or all",
    )
    flags.DEFINE_integer("seed", 0, "Of weights, order, augmentation and attacks.")
    flags.DEFINE_enum(
        "evaluate_on", "test", ["test", "validation", "none"], "Split to attack and report."
    )


def _define_text_attack_flags():
    flags.DEFINE_enum(
        "text_attack",
        "embeddings",
        ["embeddings", "words", "tokens", "characters", "edits"],
        "On texts.",
    )
    common_flags.define_budget("text_epsilon", 0.3, "Share of a token embedding's norm.")
    flags.DEFINE_integer("text_steps", 2, "PGD steps on embeddings in training.")
    flags.DEFINE_integer("text_candidates", 8, "Swaps or edits tried; also places of characters.")
    flags.DEFINE_bool("text_look_ahead", True, "Rank tokens twice: 2 do for 8.")
    flags.DEFINE_integer(
        "text_drawn", None, "Words a text looks for swaps among, drawn each step; none: all.", 1
    )


@contextlib.contextmanager
def on_devices():
    """Trains inside on `--devices`; gives whether this process is the one that writes and tells."""
    count = None if FLAGS.devices == "all" else int(FLAGS.devices)
    if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
        # To processes on JAX what torchrun's variables are on PyTorch.
        keras.distribution.initialize()
        count = None
    with contextlib.ExitStack() as stack:
        FLAGS.devices = str(stack.enter_context(rk.trainers.on_devices(count)))
        if not is_first():
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield is_first()


def is_first():
    """Says whether this process writes: of several that train together one does."""
    return rk.trainers.process()[0] == 0


def start():
    """Takes the folder, seeds, sets the precision; returns the splits of the data."""
    if is_first():
        run_folder.claim()
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)
    splits = common_flags.load_data()
    for name in {"train", FLAGS.evaluate_on} - {"none"}:
        # Now, and not when the training is over.
        common_flags.choose_split(splits, name)
    return splits


def read_terms():
    """Returns the weights of the objective that the flags name."""
    if FLAGS.terms:
        named = (term.partition("=") for term in FLAGS.terms)
        chosen = {name: float(weight) for name, _, weight in named}
    else:
        chosen = rk.trainers.PRESETS[FLAGS.preset].get_config()
    if FLAGS.constant_clean_images:
        chosen["constant_clean_images"] = True
    return rk.trainers.get_terms(chosen)


def build_attacks(terms):
    """Returns the attacks that the terms train on, as arguments of `RoCMR`."""
    # Where clean images are constants, the pass that gives them is also the first step of an
    # attack that starts there.
    options = {"keep_best": False, "random_start": not terms.constant_clean_images}
    options["seed"] = FLAGS.seed
    attacks = {}
    if terms.attacks("images"):
        attacks["image_attack"] = rk.attacks.PGD(FLAGS.image_epsilon, FLAGS.image_steps, **options)
    if not terms.attacks("texts"):
        return attacks
    if FLAGS.text_attack == "embeddings":
        attacks["text_attack"] = rk.attacks.EmbeddingPGD(
            FLAGS.text_epsilon, FLAGS.text_steps, **options
        )
    elif FLAGS.text_attack in ("characters", "edits"):
        attacks["text_attack"] = rk.attacks.CharacterChoice(seed=FLAGS.seed)
    else:
        # A distance has no gradient where the text is clean.
        attacks["text_attack"] = rk.attacks.TokenSubstitution(
            1,
            FLAGS.text_candidates,
            random_start=terms.measures("adversarial_text_embeddings"),
            look_ahead=FLAGS.text_look_ahead,
            num_drawn=FLAGS.text_drawn,
            candidates=rk.attacks.WholeWords() if FLAGS.text_attack == "words" else None,
            seed=FLAGS.seed,
        )
    return attacks


def train(model, splits, optimizer=None, hard_negatives=0, **options):
    """Trains and saves a model.

    `optimizer` is a class like AdamW, which it is by default, `options` are further arguments of
    it; `hard_negatives` is how many pairs that the model confuses stand side by side.
    """
    images, size = len(splits["train"]), FLAGS.batch_size
    num_steps = FLAGS.epochs * (images // size if _drops(splits["train"]) else -(-images // size))
    terms = read_terms()
    settings = {"non_finite": FLAGS.non_finite, "chunk_size": FLAGS.chunk_size}
    trainer = rk.RoCMR(model, terms=terms, **settings, **build_attacks(terms))
    warmup = num_steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - warmup, warmup_target=FLAGS.learning_rate, warmup_steps=warmup
    )
    optimizer = optimizer or keras.optimizers.AdamW
    trainer.compile(
        optimizer(rate, weight_decay=FLAGS.weight_decay, global_clipnorm=1.0, **options)
    )
    with run_folder.full_disk_is_said():
        _fit(trainer, splits, num_steps, hard_negatives)
        if is_first():
            run_report.save_model(model, os.path.join(FLAGS.output, "model.keras"))


def _drops(split):
    """Says whether a last batch is left out, for the devices could not share it."""
    return len(split) % FLAGS.batch_size % int(FLAGS.devices) > 0


def report(model, splits):
    """Attacks and reports the trained model, on one device."""
    if FLAGS.evaluate_on != "none":
        split = common_flags.choose_images(splits[FLAGS.evaluate_on])
        run_report.report(model, split, FLAGS.output, FLAGS.seed)


def _fit(trainer, splits, num_steps, hard_negatives):
    dataset, checkpoint = _make_batches(splits["train"], trainer), run_folder.make_checkpoint()
    if hard_negatives:
        # Before a state is restored: a run that goes on must find the same pairs again.
        packed = rk.data.pack(splits["train"], trainer.dual_encoder.preprocessor, FLAGS.pack)
        embeddings = rk.evaluation.encode(trainer.dual_encoder, packed, FLAGS.batch_size)
        dataset = dataset.with_hard_negatives(embeddings, hard_negatives)
    epoch = checkpoint.restore(trainer, dataset) if FLAGS.resume else 0
    callbacks = [checkpoint]
    if is_first():
        log = os.path.join(FLAGS.output, "history.csv")
        # A kill may have lost the row of an epoch whose state it left.
        rk.callbacks.write_history(log, checkpoint.history)
        callbacks.append(keras.callbacks.CSVLogger(log, append=epoch > 0))
    if trainer.image_attack or trainer.text_attack:
        steps = max(int(FLAGS.warmup * num_steps), 1)
        callbacks.insert(0, rk.callbacks.EpsilonWarmup(steps))
    callbacks += validation.callbacks(trainer, is_first())
    options = {"initial_epoch": epoch, "epochs": FLAGS.epochs}
    options["verbose"] = "auto" if is_first() else 0
    if validation.is_asked_for():
        options["validation_data"] = _make_validation_batches(splits, trainer)
    advice = "Go on with the same flags and --resume."
    with rk.callbacks.Interruption(checkpoint, advice) as interruption:
        trainer.fit(dataset, callbacks=[*callbacks, interruption], **options)


def _make_validation_batches(splits, trainer):
    split = validation.split_of(splits)
    dataset = validation.batches(split, trainer.dual_encoder.preprocessor, _drops(split))
    return _with_edits(dataset, split, trainer)


def _make_batches(split, trainer):
    preprocessor = trainer.dual_encoder.preprocessor
    # None at all, and frozen towers are encoded once.
    shift = rk.data.RandomShift(FLAGS.shift, FLAGS.mirror, seed=FLAGS.seed)
    dataset = rk.data.batches(
        rk.data.pack(split, preprocessor, FLAGS.pack),
        preprocessor,
        FLAGS.batch_size,
        seed=FLAGS.seed,
        augment=shift if FLAGS.shift or FLAGS.mirror else None,
        drop_remainder=_drops(split),
    )
    dataset = dataset.as_uint8() if FLAGS.chunk_size else dataset
    return _with_edits(dataset, split, trainer)


def _with_edits(dataset, split, trainer):
    chooses = isinstance(trainer.text_attack, rk.attacks.CharacterChoice)
    dataset = dataset.shard(*rk.trainers.process())
    return dataset.with_edits(_make_edits(split.captions)) if chooses else dataset


def _make_edits(captions):
    """Returns what draws the edits among which a step chooses."""
    count = FLAGS.text_candidates
    if FLAGS.text_attack == "characters":
        return rk.attacks.CharacterDraws(count, count, seed=FLAGS.seed)
    return rk.attacks.HumanDraws(count, fillers=rk.attacks.fillers_for(captions), seed=FLAGS.seed)
