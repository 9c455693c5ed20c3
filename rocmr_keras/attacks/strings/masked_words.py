"""What a masked language model would write in place of a word."""

import functools

import keras
import numpy as np

from rocmr_keras.padded_batches import in_batches


class MaskedWords:
    """Asks a masked language model for the words that fit in a gap.

    The gap is one `[MASK]` for the whole word, however many pieces it had, and the
    answer is read at that very position. Only whole words are answered: no `##` piece,
    no special token, nothing without a letter or a digit.

    Args:
        masked_lm: A KerasHub masked language model of the BERT family (WordPiece), with
            its preprocessor.
        sequence_length: Integer, the most tokens of a text; of a longer one the model sees
            a window around the gap. Never more than the preprocessor's.
        batch_size: Integer; all calls of the model have this size, so that it is compiled
            once.

    Raises:
        ValueError: If the model has no preprocessor with a tokenizer that has a
            `[MASK]`.
    """

    def __init__(self, masked_lm, sequence_length, batch_size):
        preprocessor = getattr(masked_lm, "preprocessor", None)
        self.tokenizer = getattr(preprocessor, "tokenizer", None)
        if getattr(self.tokenizer, "mask_token", None) is None:
            raise ValueError(
                "`masked_lm` must have a preprocessor whose tokenizer has a mask token. "
                f"Received: masked_lm={masked_lm!r:.200}. Build it with "
                "`keras_hub.models.BertMaskedLM.from_preset(...)`."
            )
        self.sequence_length = min(sequence_length, preprocessor.sequence_length)
        self.batch_size = batch_size
        # The same graph without the task's own preprocessing, which masks at random.
        self.model = keras.Model(masked_lm.input, masked_lm.output)

    @functools.cached_property
    def vocabulary(self):
        """List of strings."""
        return list(self.tokenizer.get_vocabulary())

    @functools.cached_property
    def allowed(self):
        """Boolean array `(vocabulary_size,)`, the pieces that are words of their own."""
        special = set(self.tokenizer.special_token_ids)
        mark = getattr(self.tokenizer, "suffix_indicator", "##")
        return np.array(
            [
                index not in special
                and not piece.startswith(mark)
                # Such as `[unused7]`, which is not among the special ids.
                and not (piece.startswith("[") and piece.endswith("]"))
                and any(map(str.isalnum, piece))
                for index, piece in enumerate(self.vocabulary)
            ]
        )

    def suggest(self, gaps, count):
        """Returns the likeliest words for each gap.

        Args:
            gaps: List of tuples of strings: the text before the gap, the text after
                it, and the word that was there, which is no suggestion.
            count: Integer, the most suggestions for a gap.

        Returns:
            List of lists of strings, likeliest first.
        """
        if not gaps:
            return []
        # The head may have more outputs than there are strings.
        scores = self._predict(gaps)[:, : len(self.vocabulary)]
        scores = np.where(self.allowed, scores, -np.inf)
        # One more, in case the word itself is among them.
        top = _highest(scores, min(count + 1, scores.shape[1]))
        suggestions = []
        for indices, row, (_, _, word) in zip(top, scores, gaps):
            words = [self.vocabulary[i] for i in indices if np.isfinite(row[i])]
            others = [w for w in words if w.casefold() != word.casefold()]
            suggestions.append(others[:count])
        return suggestions

    def features(self, gaps):
        """Returns the model's inputs for gaps: NumPy arrays `(gaps, sequence_length)`."""
        before = self._token_ids([gap[0] for gap in gaps])
        after = self._token_ids([gap[1] for gap in gaps])
        tokenizer = self.tokenizer
        shape = (len(gaps), self.sequence_length)
        token_ids = np.full(shape, tokenizer.pad_token_id, "int32")
        positions = np.zeros((len(gaps), 1), "int32")
        for index, (left, right) in enumerate(zip(before, after)):
            left, right = self._window(left, right)
            ids = [*left, tokenizer.mask_token_id, *right]
            ids = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
            token_ids[index, : len(ids)] = ids
            positions[index] = 1 + len(left)
        features = {
            "token_ids": token_ids,
            "padding_mask": (token_ids != tokenizer.pad_token_id).astype("int32"),
            "segment_ids": np.zeros(shape, "int32"),
            "mask_positions": positions,
        }
        return {name: features[name] for name in self.model.input}

    def _predict(self, gaps):
        """Returns the scores `(gaps, vocabulary_size)` at the position of each gap."""
        features = self.features(gaps)

        def step(positions):
            batch = {name: values[positions] for name, values in features.items()}
            return {"scores": self.model.predict_on_batch(batch)[:, 0]}

        return in_batches(step, len(gaps), self.batch_size)["scores"]

    def _window(self, left, right):
        """Cuts both sides to what fits beside start, mask and end."""
        room = self.sequence_length - 3
        on_left = min(len(left), max(room // 2, room - len(right)))
        return left[len(left) - on_left :], right[: room - on_left]

    def _token_ids(self, texts):
        rows = self.tokenizer(texts)
        rows = rows.to_list() if hasattr(rows, "to_list") else rows
        return [[int(token) for token in row] for row in rows]


def _highest(scores, count):
    """Returns the indices of each row's highest scores, best first."""
    # Sorting the whole vocabulary of each row would take longer.
    top = np.argpartition(-scores, count - 1, axis=-1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, top, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(top, order, axis=-1)
