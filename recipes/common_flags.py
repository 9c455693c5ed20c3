"""Flags that the recipes share: budgets as the field writes them, data, output."""

import pathlib
from fractions import Fraction

import numpy as np
from absl import app
from absl import flags
from libraries import rk

#: Published protocols, and the schedule of each.
PROTOCOLS = {"co_attack": "co_attack", "sga": "set_guidance"}
#: Flags that say what the data are.
DATA = (
    *("dataset", "kinds", "captions", "images", "image_column", "caption_column"),
    *("csv_separator", "test_share"),
)


class _BudgetParser(flags.ArgumentParser):
    """Reads `8/255` as well as `0.0314`."""

    syntactic_help = "a fraction such as 8/255, or a decimal"

    def parse(self, argument):
        if isinstance(argument, (int, float)):
            return float(argument)
        try:
            return float(Fraction(argument.strip()))
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"write a budget as 8/255 or 0.03, not {argument!r}")

    def flag_type(self):
        return "budget"


class _BudgetSerializer(flags.ArgumentSerializer):
    def serialize(self, value):
        scaled = round(value * 255, 6)
        return f"{scaled:g}/255" if scaled == int(scaled) else repr(value)


def define_budget(name, default, help_text):
    """Defines a flag of one budget, given as `8/255` or as a decimal."""
    flags.DEFINE(_BudgetParser(), name, default, help_text, serializer=_BudgetSerializer())


def parse_budgets(texts):
    """Returns floats for a list such as `["2/255", "4/255"]`."""
    parser = _BudgetParser()
    return [parser.parse(text) for text in texts]


def define_data_flags():
    """Defines which data to read, and from where."""
    flags.DEFINE_enum(
        "dataset",
        "emoji",
        ["emoji", "karpathy", "albef", "coco", "flickr_tokens", "csv", "folder"],
        "Format of the data; emoji comes from pip packages.",
    )
    flags.DEFINE_bool("kinds", False, "emoji: one caption each, of all its names and its kind.")
    flags.DEFINE_string("captions", None, "Captions file of the dataset.")
    flags.DEFINE_string(
        "images", None, "Folder of the images; for folder, perhaps with train/ and test/ inside."
    )
    flags.DEFINE_string("image_column", None, "csv: of paths; else image, or filepath.")
    flags.DEFINE_string("caption_column", None, "csv: of captions; else caption, or title.")
    flags.DEFINE_float(
        "test_share", 0.0, "Share of the training images for a test, where the data names none."
    )
    flags.DEFINE_bool("check_leaks", False, "Refuse copies of an image in two splits; reads all.")
    flags.DEFINE_string("csv_separator", None, "csv: one character; else it is found.")


def define_preprocessor_flags():
    """Defines what becomes of images and captions before a model sees them."""
    flags.DEFINE_integer("image_size", 48, "Side of the images in pixels.")
    flags.DEFINE_integer("vocabulary_size", 2000, "Word pieces learnt from the captions.")
    flags.DEFINE_integer("sequence_length", 16, "Tokens of a caption; the rest is cut.")


def define_evaluation_flags():
    """Defines the attacks of the final report."""
    flags.DEFINE_list("eval_epsilons", "2/255,4/255,8/255", "Image budgets, in units of [0, 1].")
    flags.register_validator("eval_epsilons", _check_budgets)
    define_budget("eval_both", 8 / 255, "Image budget where both sides are attacked.")
    flags.DEFINE_integer(
        "eval_images", 0, "Images of the split, at random, with their captions; 0: all."
    )
    flags.DEFINE_integer("min_captions", 1, "Only images with as many captions or more.")
    flags.DEFINE_bool(
        "merge_duplicates", False, "Equal captions are right for each other's images."
    )
    flags.DEFINE_integer("eval_steps", 20, "PGD steps of each image attack.")
    flags.DEFINE_bool("eval_random_start", True, "For PGD; without it all backends find the same.")
    flags.DEFINE_integer("eval_substitutions", 1, "Words, tokens, edits changed in each caption.")
    flags.DEFINE_list(
        "eval_text",
        [],
        "AutoAttack's on captions: words, tokens, edits, characters; empty: no tokens.",
    )
    flags.DEFINE_integer("eval_candidates", 32, "Swaps tried exactly for each token.")
    flags.DEFINE_list("eval_severities", "1,3,5", "Of corruptions, each from 1 to 5.")


def define_norm_flag():
    """Defines the norm of AutoAttack, of a recipe whose `--attacks` may name it."""
    flags.DEFINE_enum("eval_norm", "linf", ["linf", "l2"], "Of AutoAttack's --eval_both, e.g. 0.5.")
    flags.register_multi_flags_validator(
        ["eval_norm", "attacks"],
        lambda given: given["eval_norm"] == "linf" or given["attacks"] in ("fast", "standard"),
        "--eval_norm is AutoAttack's: add --attacks=fast or standard",
    )


def _check_budgets(texts):
    """Refuses, while flags are read, a list without a budget or with something else."""
    if not texts:
        raise flags.ValidationError("needs a budget, such as 8/255")
    try:
        return bool(parse_budgets(texts))
    except ValueError as error:
        raise flags.ValidationError(str(error)) from error


def adopt_data_flags(model):
    """Takes the data of the run that a model is from, where no data flag is given.

    The flags are those of `flags.txt` beside the file of the model, where there is one; what is
    taken is printed.
    """
    file = pathlib.Path(model).parent / "flags.txt"
    if any(flags.FLAGS[name].present for name in DATA) or not file.exists():
        return
    taken = []
    for line in file.read_text("utf-8").splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        if name in DATA and line != flags.FLAGS[name].serialize():
            flags.FLAGS[name].parse(value or "true")
            taken.append(line)
    if taken:
        print(f"Data as in {file}: {' '.join(taken)}. Data flags name other data.")


def load_data():
    """Returns the splits that the data flags name."""
    values = flags.FLAGS
    given = {
        "captions": values.captions,
        "images": values.images,
        "image_column": values.image_column,
        "caption_column": values.caption_column,
        "delimiter": values.csv_separator,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if values.kinds:
        options["with_kinds"] = True
    splits = rk.data.load(values.dataset, **options)
    if values.test_share and "test" not in splits:
        splits["train"], splits["test"] = rk.data.hold_out(splits["train"], values.test_share)
    if values.check_leaks:
        rk.data.check_leaks(splits)
    return splits


def choose_split(splits, name):
    """Returns a split by its name, or says how to get one."""
    if name not in splits:
        raise app.UsageError(
            f"The data must have a split {name!r}. Received: the splits {', '.join(splits)}. Name "
            "it in the data, or split off a test with --test_share=0.1."
        )
    return splits[name]


def load_chosen(name):
    """Loads a split by its name, and returns what the evaluation looks at of it."""
    return choose_images(choose_split(load_data(), name))


def make_preprocessor(captions):
    """Returns a preprocessor with a vocabulary learnt from the captions."""
    values = flags.FLAGS
    return rk.data.Preprocessor.from_captions(
        captions,
        vocabulary_size=values.vocabulary_size,
        sequence_length=values.sequence_length,
        image_size=(values.image_size, values.image_size),
    )


def choose_images(split):
    """Returns what the evaluation looks at: the split, or a part that the flags name."""
    values = flags.FLAGS
    if values.min_captions > 1:
        ids, counts = np.unique(split.caption_image_ids, return_counts=True)
        kept = np.isin(split.image_ids, ids[counts >= values.min_captions])
        split = split.take(np.flatnonzero(kept))
    split = split.subset(values.eval_images) if values.eval_images else split
    return split.merge_duplicates() if values.merge_duplicates else split


def threats(seed, captions):
    """Returns the threats that the evaluation flags name.

    `captions` are those of the split: its frequent words are among what edits insert.
    """
    values = flags.FLAGS
    threat, named, count = rk.evaluation.Threat, {}, values.eval_substitutions
    for written, epsilon in zip(values.eval_epsilons, parse_budgets(values.eval_epsilons)):
        named[f"pgd{values.eval_steps} {written}"] = threat(pgd(epsilon, seed))
    noise = rk.attacks.RandomNoise(epsilon, seed=seed)
    named[f"noise {written}"] = threat(noise)
    for noun, mask in (("word", rk.attacks.WholeWords()), ("token", None)):
        named[counted(noun)] = threat(text_attack=search(seed, mask))
    edits = {"num_edits": count, "fillers": rk.attacks.fillers_for(captions), "seed": seed}
    named[counted("edit")] = threat(text_attack=rk.attacks.HumanEdits(**edits))
    swaps = rk.attacks.RandomSubstitution(count, seed=seed)
    named["random tokens"] = threat(text_attack=swaps)
    named["random edits"] = threat(text_attack=rk.attacks.RandomHumanEdits(**edits))
    for noun in ("word", "token"):
        text_attack = named[counted(noun)].text_attack
        attacks = pgd(values.eval_both, seed), text_attack
        named[f"both, {counted(noun)}"] = threat(*attacks, protocol="both")
    return named


def counted(noun):
    """Names a row by what is changed in a caption: "one word", "2 words"."""
    count = flags.FLAGS.eval_substitutions
    return f"one {noun}" if count == 1 else f"{count} {noun}s"


def joint_threats(seed):
    """Returns a threat for each joint attack, on the budget `--eval_both`."""
    attacks = pgd(flags.FLAGS.eval_both, seed), search(seed)
    return {
        name: rk.evaluation.Threat(*attacks, protocol=rk.evaluation.protocols.Both(name))
        for name in rk.attacks.joint.SCHEDULES
    }


def protocol_threats(name, seed):
    """Returns the threat of a published protocol by its name."""
    threat, parts = rk.evaluation.Threat, _published(seed)
    protocol = rk.evaluation.protocols.Both(PROTOCOLS[name])
    return {name: threat(*parts, protocol=protocol)}


def protocol_attack(name, seed):
    """Returns the joint attack of a published protocol."""
    return rk.attacks.joint.build(PROTOCOLS[name], *_published(seed))


def _published(seed):
    """The budget of both papers: 2/255 in 10 steps of 0.5/255, and one word out of ten."""
    pgd = rk.attacks.PGD(2 / 255, 10, step_size=0.5 / 255, seed=seed)
    words = rk.attacks.WholeWords()
    return pgd, rk.attacks.TokenSubstitution(1, 10, seed=seed, candidates=words)


def corruptions(seed):
    """Returns every corruption by the severities of the flags, and the strongest PGD beside."""
    named = {}
    for severity in flags.FLAGS.eval_severities:
        named.update(rk.attacks.corruptions(int(severity), seed=seed))
    written = flags.FLAGS.eval_epsilons[-1]
    attack = pgd(parse_budgets([written])[0], seed)
    return {**named, f"pgd{flags.FLAGS.eval_steps} {written}": attack}


def pgd(epsilon, seed):
    """Returns the image attack of the evaluation flags at a budget."""
    values = flags.FLAGS
    return rk.attacks.PGD(
        epsilon, values.eval_steps, random_start=values.eval_random_start, seed=seed
    )


def search(seed, mask=None):
    """Returns the token search of the evaluation flags, among what a swap mask allows."""
    values = flags.FLAGS
    return rk.attacks.TokenSubstitution(
        values.eval_substitutions, values.eval_candidates, seed=seed, candidates=mask
    )
