"""The signatures of the artefact."""

import tensorflow as tf

from rocmr_keras.export.graph.image_files import decode_images
from rocmr_keras.export.graph.weights import StoredWeights

# Hits of one request: each has an id, a score and a name.
_MAX_HITS = 2**22


class ServingModel:
    """A dual encoder, and a gallery where there is one, behind raw inputs.

    Args:
        model: `DualEncoder`, or an object with its methods.
        dtype: Type of the stored weights, `"float32"` or `"bfloat16"`.
        max_pixels: Integer, the largest image that is decoded.
        gallery: `Gallery`, or `None`.
        search: What `build` of an index returned, or `None`.

    Its `module` owns every variable that the signatures read, and no Keras object.
    """

    def __init__(self, model, dtype, max_pixels, gallery=None, search=None):
        self.model = model
        self.preprocessor = model.preprocessor
        self.max_pixels = max_pixels
        self.count = 0 if gallery is None else len(gallery)
        self.module = tf.Module()
        self.module.weights = StoredWeights(model, dtype)
        # Some tokenizers look pieces up in tables, which must be owned; WordPiece is one op.
        self.module.tables = _tables(getattr(self.preprocessor, "tokenizer", None))
        if gallery is not None:
            self.module.search = search
            self.module.ids = tf.Variable(gallery.ids, trainable=False)
            names = [name.encode("utf-8", "replace") for name in gallery.names]
            with tf.device("cpu"):
                self.module.names = tf.Variable(tf.constant(names, "string"), trainable=False)

    def signatures(self, string_inputs=True):
        """Traces the functions that a server offers.

        Args:
            string_inputs: Boolean, whether to include those of texts as strings, which
                need the ops of tensorflow-text. Defaults to `True`.

        Returns:
            Dict from name to concrete function.
        """
        preprocessor = self.preprocessor
        strings = tf.TensorSpec([None], "string")
        ids = tf.TensorSpec([None, preprocessor.sequence_length], "int32")
        mask = tf.TensorSpec(ids.shape, "bool")
        pixels = tf.TensorSpec([None, *preprocessor.image_size, 3], "float32")
        k = tf.TensorSpec(None, "int32")
        specs = {
            "embed_images": (self.embed_images, {"images": strings}),
            "embed_token_ids": (self.embed_token_ids, {"token_ids": ids, "padding_mask": mask}),
            "embed_pixels": (self.embed_pixels, {"pixels": pixels}),
        }
        if string_inputs:
            specs["embed_texts"] = (self.embed_texts, {"texts": strings})
        if self.count:
            specs["search_by_image"] = (self.search_by_image, {"images": strings, "k": k})
        if self.count and string_inputs:
            specs["search_by_text"] = (self.search_by_text, {"texts": strings, "k": k})
        traced = {name: _trace(function, inputs) for name, (function, inputs) in specs.items()}
        # An adapter may read variables that its model does not list.
        owned = {id(variable) for variable in self.module.variables}
        read = [v for f in traced.values() for v in f.graph.variables if id(v) not in owned]
        self.module.others = list({id(variable): variable for variable in read}.values())
        default = "embed_texts" if string_inputs else "embed_images"
        return {**dict(sorted(traced.items())), "serving_default": traced[default]}

    def embed_texts(self, texts):
        return {"embeddings": self._texts(texts)}

    def embed_images(self, images):
        return {"embeddings": self._images(images)}

    def embed_token_ids(self, token_ids, padding_mask):
        vocabulary_size = self.model.text_encoder.embedding_table.shape[0]
        known = tf.reduce_all((token_ids >= 0) & (token_ids < vocabulary_size))
        filled = tf.reduce_all(tf.reduce_any(padding_mask, axis=1))
        range_message = f"token_ids must be at least 0 and below {vocabulary_size}"
        with tf.control_dependencies(
            [
                tf.debugging.Assert(known, [range_message]),
                tf.debugging.Assert(filled, ["padding_mask must be true somewhere in each row"]),
            ]
        ):
            token_ids = tf.identity(token_ids)
        return {"embeddings": self._token_ids(token_ids, padding_mask)}

    def embed_pixels(self, pixels):
        valid = tf.reduce_all((pixels >= 0) & (pixels <= 1))
        with tf.control_dependencies(
            [tf.debugging.Assert(valid, ["pixels must be numbers from 0 to 1"])]
        ):
            pixels = tf.identity(pixels)
        return {"embeddings": self._pixels(pixels)}

    def search_by_text(self, texts, k):
        return self._search(self._texts(texts), k)

    def search_by_image(self, images, k):
        return self._search(self._images(images), k)

    def _texts(self, texts):
        # The tokenizer refuses what is no UTF-8; such bytes count as "?".
        texts = tf.strings.unicode_transcode(
            texts, "UTF-8", "UTF-8", errors="replace", replacement_char=ord("?")
        )
        tokens = self.preprocessor.tokenize_graph(texts)
        return self._token_ids(tokens["token_ids"], tokens["padding_mask"])

    def _images(self, images):
        pixels = decode_images(images, self.preprocessor, self.max_pixels)
        # As `to_float` of the input pipeline does it, to the last bit.
        return self._pixels(tf.cast(pixels, "float32") * (1.0 / 255.0))

    def _token_ids(self, token_ids, padding_mask):
        return self._encode(self.model.encode_texts, token_ids, padding_mask)

    def _pixels(self, pixels):
        return self._encode(self.model.encode_images, pixels)

    def _encode(self, encode, *inputs):
        # Convolutions fail on a batch of nothing: it gets a row, which is cut off again.
        count = tf.shape(inputs[0])[0]
        missing = tf.maximum(1 - count, 0)
        row = lambda x: tf.cast(tf.ones([missing, *x.shape[1:]]), x.dtype)  # noqa: E731
        padded = [tf.concat([x, row(x)], axis=0) for x in inputs]
        with self.module.weights.scope():
            embeddings = encode(*padded, training=False)
        return tf.cast(embeddings, "float32")[:count]

    def _search(self, queries, k):
        count = tf.shape(queries)[0]
        k = self._check_k(tf.reshape(k, [-1]), count)
        scores, rows = self.module.search.search(queries, tf.minimum(k, self.count))
        return {
            "ids": tf.gather(self.module.ids, rows),
            "names": tf.gather(self.module.names, rows),
            "scores": scores,
        }

    def _check_k(self, k, count):
        first = tf.concat([k, [1]], 0)[0]
        one_for_all = (tf.size(k) == 1) | (tf.size(k) == count)
        same = one_for_all & tf.reduce_all(k == first)
        hits = tf.cast(tf.minimum(first, self.count), "int64") * tf.cast(count, "int64")
        with tf.control_dependencies(
            [
                tf.debugging.Assert(same, ["k must be one number, or the same for each query"]),
                tf.debugging.Assert(first >= 1, ["k must be 1 or more"]),
                tf.debugging.Assert(hits <= _MAX_HITS, ["k times queries must be", _MAX_HITS]),
            ]
        ):
            return tf.identity(first)


def _trace(function, specs):
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _tables(tokenizer):
    """Lists the lookup tables that a KerasHub tokenizer holds, also inside of its parts."""
    kinds = (tf.lookup.StaticHashTable, tf.lookup.experimental.MutableHashTable)
    found, waiting = [], [tokenizer]
    while waiting:
        held = vars(waiting.pop() or object).values()
        found += [value for value in held if isinstance(value, kinds)]
        waiting += [value for value in held if isinstance(value, tf.Module)]
    return found
