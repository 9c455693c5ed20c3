from rocmr_keras.attacks.attack import Attack

_NAMES = ("token_ids", "padding_mask")


class EditAttack(Attack):
    """Base class of attacks that choose among edited texts which come with the batch.

    `rocmr_keras.data.batches(...).with_edits` edits and tokenises them beforehand, so this is
    for training. Unlike with a `TokenAttack` the number of tokens may change. Subclasses
    implement `call(inputs, loss_fn, candidates)`.

    Args:
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Dict with `token_ids`, integer `(batch, length)`, and `padding_mask`, boolean
            `(batch, length)`.
        loss_fn: Callable from such a dict of `n` stacked copies of the batch to losses
            `(n * batch,)`.
        candidates: Dict of the same names, `(batch, places, edits, length)`.

    Returns:
        Dict like `inputs`.
    """

    side = "texts"
    batch_keys = (*_NAMES, *(f"candidate_{name}" for name in _NAMES))
    writes_text = True

    def perturb(self, model, batch, goal):
        if any(name not in batch for name in self.batch_keys):
            raise ValueError(
                f"{type(self).__name__} chooses among `candidate_token_ids`. Received: a batch "
                f"of {sorted(batch)}. Use rocmr_keras.data.batches(...).with_edits(...)."
            )

        def loss_fn(texts):
            return goal(model.encode_texts(*(texts[name] for name in _NAMES), **goal.encoding))

        inputs = {name: batch[name] for name in _NAMES}
        candidates = {name: batch[f"candidate_{name}"] for name in _NAMES}
        found = self(inputs, loss_fn=loss_fn, candidates=candidates)
        return {f"adversarial_{name}": value for name, value in found.items()}
