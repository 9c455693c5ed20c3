"""Every single swap of a token in a caption, tried one by one: no search, so none is missed."""

import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.tokens.encoder_inputs import changeable
from rocmr_keras.attacks.tokens.encoder_inputs import vocabulary_of
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.metrics.ranks import query_ranks
from rocmr_keras.padded_batches import in_batches


def verify_token_robustness(
    model,
    split,
    k=(1, 5, 10),
    candidates=None,
    queries=None,
    stop_when_broken=False,
    batch_size=512,
    verbose=1,
):
    """Says of each caption whether any swap of one token puts its images out of the first `k`.

    Unlike `TokenSubstitution` this is no search: every position is tried with every token
    that may stand there, so what is right here is right under any attack of one token, as
    far as float32 goes. A caption of 5 tokens and a vocabulary of 2,000 take 10,000 forward
    passes. The gallery of images is clean. Captions whose images are not among the first
    of the largest `k` to begin with are not tried.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`. Images and captions of equal id are right.
        k: Tuple of integers. Defaults to `(1, 5, 10)`.
        candidates: A swap mask, such as `WholeWords`, or `None` for the whole vocabulary but
            special tokens. Defaults to `None`.
        queries: Integer array, not empty, ascending, positions of the captions to verify; the
            gallery is the whole split. Defaults to `None`, all of them.
        stop_when_broken: Boolean, whether a caption is left alone once its images are out of
            the first of the largest `k`. Then its worst swap may not be the worst of all.
            Much faster where few captions are robust. Defaults to `False`.
        batch_size: Integer, swaps encoded at once. Defaults to `512`.
        verbose: `1` for a progress bar, `0` for none. Defaults to `1`.

    Returns:
        Dict with `recall`, of clean captions, and `certified_recall`, of captions under their
        worst swap, each a dict from `k` to a fraction; `num_captions`; `num_swaps`, an
        integer, how many were tried; and arrays with an entry for each caption: `queries`,
        its position; `clean_ranks` and `worst_ranks`; `robust`, a dict from `k` to booleans;
        `worst_positions` and `worst_tokens`, the swap that gives the worst rank, -1 where
        no swap makes the rank worse.

    Raises:
        ValueError: If a `k` is not a positive integer, or there is no caption.

    Example:

    ```python
    found = verify_token_robustness(model, test, candidates=WholeWords())
    found["certified_recall"][10]
    ```
    """
    k = [check_count("k", one) for one in k]
    if queries is not None and not len(queries):
        raise ValueError(
            "`queries` must name a caption. Received: queries=[]. Pass None for all of them."
        )
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    ranking = encoded.rank("text_to_image", only=queries)
    search = _EverySwap(encoded, candidates, max(k) if stop_when_broken else None)
    bar = keras.utils.Progbar(len(ranking.queries), verbose=verbose, unit_name="caption")
    worst = []
    for query, rank in zip(ranking.queries.tolist(), ranking.ranks.tolist()):
        worst.append(search.worst(query, rank) if rank <= max(k) else (rank, -1, -1))
        bar.add(1)
    ranks, positions, tokens = (np.array(part, "int64") for part in zip(*worst))
    return {
        "recall": {one: float(np.mean(ranking.ranks <= one)) for one in k},
        "certified_recall": {one: float(np.mean(ranks <= one)) for one in k},
        "num_captions": len(ranks),
        "num_swaps": search.num_tried,
        "queries": ranking.queries,
        "clean_ranks": ranking.ranks,
        "worst_ranks": ranks,
        "robust": {one: ranks <= one for one in k},
        "worst_positions": positions,
        "worst_tokens": tokens,
    }


class _EverySwap:
    """Tries the swaps of one caption after the other.

    Args:
        encoded: An `EncodedSplit`; its `batch_size` is the number of swaps encoded at once.
        candidates: A `SwapMask` or `None`.
        enough: Integer, the rank behind which no more swaps of a caption are tried, or `None`.
    """

    def __init__(self, encoded, candidates, enough):
        self.encoded = encoded
        self.candidates = candidates
        self.enough = np.inf if enough is None else enough
        self.encoder = QueryEncoder(encoded.model, "texts")
        self.vocabulary = vocabulary_of(encoded.model)
        self.num_tried = 0

    def worst(self, query, rank):
        """Returns the worst rank of a caption, and the position and token that give it."""
        batch = load_queries(self.encoded.model, self.encoded.split, "texts", np.array([query]))
        batch = {name: np.asarray(values) for name, values in batch.items()}
        positions, tokens = self._allowed(batch)
        # In no order that the vocabulary has: frequent words first would stop late.
        order = np.random.default_rng(query).permutation(len(tokens))
        found, size = (rank, -1, -1), self.encoded.batch_size
        for start in range(0, len(order), size):
            if found[0] > self.enough:
                break
            chosen = order[start : start + size]
            ranks = self._ranks(query, batch, positions[chosen], tokens[chosen])
            best = int(np.argmax(ranks))
            if ranks[best] > found[0]:
                found = int(ranks[best]), positions[chosen[best]], tokens[chosen[best]]
        return found

    def _allowed(self, batch):
        """Returns positions and tokens of all swaps that may be made, two integer arrays."""
        ids = ops.convert_to_tensor(batch["token_ids"])
        mask = ops.logical_and(
            changeable(self.encoded.model, batch)[..., None], self.vocabulary.allowed
        )
        if self.candidates is not None:
            mask = ops.logical_and(mask, self.candidates.mask(ids, self.vocabulary))
        mask = np.array(ops.convert_to_numpy(mask))[0]
        # A token in its own place changes nothing.
        mask[np.arange(len(mask)), batch["token_ids"][0]] = False
        return np.nonzero(mask)

    def _ranks(self, query, batch, positions, tokens):
        self.num_tried += len(tokens)
        embeddings = in_batches(
            lambda rows: self.encoder.predict_on_batch(
                _write(batch, positions[rows], tokens[rows])
            ),
            len(tokens),
            self.encoded.batch_size,
        )["embeddings"]
        searched = self.encoded.searched("text_to_image")
        is_wrong = ~searched.relevance.mask([query])[0]
        return query_ranks(
            embeddings, searched.embeddings, np.zeros(len(tokens), int), is_wrong.astype(int)
        )


def _write(batch, positions, tokens):
    """Returns a batch of the caption with one swap made in each copy."""
    batch = {name: np.repeat(values, len(tokens), axis=0) for name, values in batch.items()}
    batch["token_ids"][np.arange(len(tokens)), positions] = tokens
    return batch
