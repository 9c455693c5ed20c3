"""A dual encoder as the classifier that attacks of other authors expect, and these attacks."""

import importlib
import importlib.util
import sys

import numpy as np
import torch

#: What `build` knows: of torchattacks, and of the authors of AutoAttack.
ATTACKS = ("apgd_ce", "apgd_t", "fab_t", "square", "autoattack", "fra31")


class CaptionClassifier(torch.nn.Module):
    """Images `(B, 3, H, W)` to logits `(B, captions)`, wrong where none of the first k is right.

    An image's class is its first right caption. The logit of that class is the largest of all
    right ones; the other right captions and the `k - 1` nearest wrong ones are hidden: they get
    the lowest logit of the row. So an attack that looks at the first rank climbs the k-th.
    Which image a row comes from is told by the pixels, for attacks pass on some rows only.

    Args:
        model: A `DualEncoder` or an `Adapter`.
        encoded: The `EncodedSplit` with the gallery.
        k: Integer, the rank.

    Raises:
        ValueError: If the gallery has too few captions for the rank.
    """

    def __init__(self, model, encoded, k):
        super().__init__()
        if not 1 <= k < len(encoded.clean.texts):
            raise ValueError(
                f"`k` must be at least 1 and less than the captions. Received: k={k}, "
                f"{len(encoded.clean.texts)} captions. Choose other --ranks."
            )
        self.k = k
        self.encoded = encoded
        self.texts = torch.tensor(encoded.clean.texts)
        self.scale = float(model.scale().detach())
        # Attacks ask a module for its device by a weight.
        self.weight = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        # In a list, or it would be a part of this module.
        self.dual_encoder = [model]

    def look_at(self, queries):
        """Takes the images that attacks are about to change; returns them and their classes."""
        split = self.encoded.split
        images = self.dual_encoder[0].preprocessor.load_images([split.images[i] for i in queries])
        images = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2).contiguous()
        right = self.encoded.relevance("image_to_text").mask(queries)
        self.pixels, self.right = images.flatten(1), torch.tensor(right)
        return images, self.right.float().argmax(1)

    def forward(self, images):
        model = self.dual_encoder[0]
        embeddings = model.encode_images(images.permute(0, 2, 3, 1), training=False)
        logits = self.scale * embeddings @ self.texts.T
        rows = torch.cdist(images.detach().flatten(1), self.pixels).argmin(1)
        right = self.right[rows]
        lowest = logits.detach().min(1, keepdim=True).values
        wrong = torch.where(right, lowest, logits)
        nearest = wrong.detach().topk(self.k - 1, dim=1).indices
        wrong = wrong.scatter(1, nearest, lowest.expand(-1, self.k - 1))
        best = torch.where(right, logits, -torch.inf).max(1, keepdim=True).values
        own = torch.nn.functional.one_hot(right.float().argmax(1), logits.shape[1])
        return torch.where(own.bool(), best, wrong)


def lacking(names, folder):
    """Says which package some attacks lack, or returns `None`.

    Args:
        names: List of names of attacks.
        folder: Path of a folder with the package `autoattack`, or `None`.
    """
    if set(names) - {"fra31"} and importlib.util.find_spec("torchattacks") is None:
        return "torchattacks is missing: `pip install --no-deps torchattacks`."
    if "fra31" in names:
        sys.path.insert(0, folder or "")
        if not folder or importlib.util.find_spec("autoattack") is None:
            return (
                "The attack fra31 needs --auto_attack, a folder with the package `autoattack`: "
                "`git clone https://github.com/fra31/auto-attack`."
            )
    return None


def build(name, classifier, epsilon, steps, square_queries, seed):
    """Returns a function from images and classes to attacked images.

    Targeted attacks try nine classes, as in the paper.

    Args:
        name: One of `ATTACKS`.
        classifier: A `CaptionClassifier`.
        epsilon: Float, the budget in l-infinity.
        steps: Integer, of the gradient attacks of torchattacks.
        square_queries: Integer, of the Square of torchattacks.
        seed: Integer.
    """
    if name == "fra31":
        package = importlib.import_module("autoattack")
        ensemble = package.AutoAttack(classifier, eps=epsilon, seed=seed, device="cpu")
        return lambda images, labels: ensemble.run_standard_evaluation(images, labels, len(images))
    package = importlib.import_module("torchattacks")
    shared = {"eps": epsilon, "seed": seed}
    targeted = {**shared, "n_classes": 10}
    return {
        "apgd_ce": lambda: package.APGD(classifier, steps=steps, loss="ce", **shared),
        "apgd_t": lambda: package.APGDT(classifier, steps=steps, **targeted),
        "fab_t": lambda: package.FAB(classifier, steps=steps, multi_targeted=True, **targeted),
        "square": lambda: package.Square(classifier, n_queries=square_queries, **shared),
        "autoattack": lambda: package.AutoAttack(classifier, **targeted),
    }[name]()


def attack(classifier, run, queries, epsilon, batch_size):
    """Attacks queries and encodes what was found, within the budget.

    Args:
        classifier: A `CaptionClassifier`.
        run: Function as `build` returns it.
        queries: Integer array, positions of images.
        epsilon: Float.
        batch_size: Integer.

    Returns:
        Float array, the embeddings of all images of the split; those not attacked are clean.
    """
    encoded = classifier.encoded
    embeddings = np.array(encoded.clean.images)
    for start in range(0, len(queries), batch_size):
        rows = queries[start : start + batch_size]
        images, labels = classifier.look_at(rows)
        found = run(images, labels).detach()
        found = torch.clamp(torch.clamp(found, images - epsilon, images + epsilon), 0.0, 1.0)
        with torch.no_grad():
            found = classifier.dual_encoder[0].encode_images(found.permute(0, 2, 3, 1))
        embeddings[rows] = found.numpy()
    return embeddings


def count_broken(foreign, own):
    """Counts by whom queries are broken.

    Args:
        foreign: Boolean array, which queries a foreign attack breaks.
        own: Boolean array, which ones `auto_attack` breaks.

    Returns:
        Dict of counts; `share`, that of the queries `auto_attack` leaves right which the other
        one breaks, with its `standard_error`; and `at_most`, the largest share that would
        show none in as many with a probability of 5 %, `None` where there are some.
    """
    left = int((~own).sum())
    alone = int((foreign & ~own).sum())
    share = alone / left if left else 0.0
    return {
        "queries": len(own),
        "both": int((foreign & own).sum()),
        "own_alone": int((own & ~foreign).sum()),
        "foreign_alone": alone,
        "left_by_own": left,
        "share": share,
        "standard_error": (share * (1 - share) / left) ** 0.5 if left else 0.0,
        # Of none a standard error says nothing.
        "at_most": 1 - 0.05 ** (1 / left) if left and not alone else None,
    }
