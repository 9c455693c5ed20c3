import numpy as np
from keras import ops

from rocmr_keras.attacks import Target
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import Vocabulary
from rocmr_keras.evaluation.masking_audit.judgement import verdict

# Brute force takes a forward pass for each text, position and token.
_NUM_TEXTS, _NUM_TOKENS, _NUM_CANDIDATES = 4, 24, 32
_LEAST_SHARE = 0.9


def token_search(probe):
    """On a few texts and tokens: does the search find what trying every swap finds?"""
    case = _Case(probe)
    clean = case.losses(case.token_ids)
    searched = case.attack(_NUM_CANDIDATES) - clean
    # As many candidates as there are swaps: nothing is left to the gradient's ranking.
    brute = case.attack(case.token_ids.shape[1] * _NUM_TOKENS) - clean
    share = (searched.mean() + 1e-6) / (brute.mean() + 1e-6)
    explanation = (
        f"Of what the best of all single swaps adds to the mean loss ({brute.mean():.4f}), the "
        f"gradient's {_NUM_CANDIDATES} candidates find {100 * share:.1f} %. A search that misses "
        "it follows a gradient that says little."
    )
    return verdict(share >= _LEAST_SHARE, share, explanation)


class _Case:
    """A few captions against all images, and a random part of the vocabulary."""

    def __init__(self, probe):
        encoded = probe.encoded
        model, captions = encoded.model, encoded.split.captions
        rows = np.arange(min(_NUM_TEXTS, len(captions)))
        tokens = model.preprocessor.tokenize([captions[row] for row in rows])
        self.model = model
        self.token_ids = np.asarray(tokens["token_ids"])
        self.padding_mask = np.asarray(tokens["padding_mask"])
        self.objective = probe.budget.objective
        self.target = Target(
            ops.convert_to_tensor(encoded.clean.images, "float32"),
            ops.convert_to_tensor(encoded.relevance("text_to_image").mask(rows)),
            scale=ops.stop_gradient(ops.convert_to_tensor(model.scale())),
            clean=ops.convert_to_tensor(encoded.clean.texts[rows], "float32"),
        )
        table = model.text_encoder.embedding_table
        ordinary = np.setdiff1d(np.arange(table.shape[0]), model.special_token_ids)
        drawn = np.random.default_rng(probe.budget.seed).permutation(ordinary)[:_NUM_TOKENS]
        allowed = np.isin(np.arange(table.shape[0]), drawn)
        self.vocabulary = Vocabulary(
            model.embed_tokens, ops.convert_to_tensor(table), ops.convert_to_tensor(allowed)
        )
        special = np.isin(self.token_ids, model.special_token_ids)
        self.positions = ops.convert_to_tensor(self.padding_mask & ~special)

    def attack(self, num_candidates):
        found = TokenSubstitution(1, num_candidates)(
            ops.convert_to_tensor(self.token_ids),
            loss_fn=self.loss_fn,
            positions=self.positions,
            vocabulary=self.vocabulary,
        )
        return self.losses(found)

    def losses(self, token_ids):
        return ops.convert_to_numpy(self.loss_fn(self.model.embed_tokens(token_ids)))

    def loss_fn(self, embeddings):
        copies = ops.shape(embeddings)[0] // len(self.token_ids)
        attended = ops.tile(ops.convert_to_tensor(self.padding_mask), (copies, 1))
        encoded = self.model.encode_text_embeddings(embeddings, attended, training=False)
        return self.objective(encoded, self.target)
