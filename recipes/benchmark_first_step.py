"""What `benchmark.py --what=first_step` measures: tracing and taking the first training step."""

import concurrent.futures
import multiprocessing
import time

import keras
import numpy as np
from keras import ops

import rocmr_keras as rk

_IMAGE_EPSILON, _TEXT_EPSILON = 8 / 255, 0.5
_FAR = -1e9


def table(model_config, batch, num_steps, repeats):
    """Returns a table of the CPU seconds of first steps, each in a process of its own."""
    context, times = multiprocessing.get_context("spawn"), {"by hand": [], "rocmr": []}
    for _ in range(repeats):
        for name, seconds in times.items():
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                arguments = name, model_config, batch, num_steps
                seconds.append(pool.submit(measure, *arguments).result())
    by_hand, ours = (np.median(seconds, axis=0) for seconds in times.values())
    lines = [f"| first step, {keras.config.backend()} | CPU s | of it clean forward passes |"]
    lines.append("|---|---|---|")
    for name, (whole, forward) in zip(times, (by_hand, ours)):
        lines.append(f"| {name} | {whole:.2f} | {forward:.2f} |")
    return "\n".join([*lines, f"ratio: {ours[0] / by_hand[0]:.2f}"])


def measure(name, model_config, batch, num_steps):
    """Takes a first step in this process.

    Returns:
        Tuple of CPU seconds: of the step, and of tracing and running one forward pass of
        both towers before it, which a step by hand and ours both do several times.
    """
    model = keras.saving.deserialize_keras_object(model_config)
    trainer = keras.Model if name == "by hand" else rk.RoCMR
    forward = _seconds(lambda: rk.attacks.QueryEncoder(model, "images").predict_on_batch(batch))
    forward += _seconds(lambda: rk.attacks.QueryEncoder(model, "texts").predict_on_batch(batch))
    optimizer = keras.optimizers.AdamW(1e-3)
    if trainer is rk.RoCMR:
        options = {"num_steps": num_steps, "keep_best": False, "seed": 0}
        attacks = (
            rk.attacks.PGD(_IMAGE_EPSILON, **options),
            rk.attacks.EmbeddingPGD(_TEXT_EPSILON, **options),
        )
        trainer = rk.RoCMR(model, *attacks)
        optimizer.build(trainer.trainable_variables)
        trainer.compile(optimizer)
        return _seconds(lambda: trainer.train_on_batch(batch)), forward
    optimizer.build(model.trainable_variables)
    step = {"tensorflow": _tensorflow_step, "jax": _jax_step}[keras.config.backend()]
    return _seconds(step(model, optimizer, batch, num_steps)), forward


def _seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def _tensorflow_step(model, optimizer, batch, num_steps):
    import tensorflow as tf

    def gradient_of(loss, inputs):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(loss(inputs))
        return tape.gradient(total, inputs)

    @tf.function
    def step(batch):
        attacked = _attack(model, batch, num_steps, gradient_of)
        with tf.GradientTape() as tape:
            loss = _loss(model, batch, *attacked)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: step(batch).numpy()


def _jax_step(model, optimizer, batch, num_steps):
    import jax

    def gradient_of(loss, inputs):
        return jax.grad(lambda inputs: loss(inputs).sum())(inputs)

    def scoped(values, others, function):
        mapping = [
            *zip(model.trainable_variables, values),
            *zip(model.non_trainable_variables, others),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            return function()

    @jax.jit
    def step(values, others, state, batch):
        attacked = scoped(values, others, lambda: _attack(model, batch, num_steps, gradient_of))

        def loss_of(values):
            return scoped(values, others, lambda: _loss(model, batch, *attacked))

        loss, gradients = jax.value_and_grad(loss_of)(values)
        return loss, *optimizer.stateless_apply(state, gradients, values)

    def run():
        values = [[variable.value for variable in group] for group in groups]
        jax.block_until_ready(step(*values, batch))

    groups = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    return run


def _attack(model, batch, num_steps, gradient_of):
    """PGD on the texts against clean images, then on the images against what was found."""
    mask, own = batch["padding_mask"], ops.eye(len(batch["images"]), dtype="bool")
    tokens, images = model.embed_tokens(batch["token_ids"]), ops.convert_to_tensor(batch["images"])
    clean = [model.encode_images(images), model.encode_text_embeddings(tokens, mask)]
    norms = ops.norm(tokens, axis=-1, keepdims=True)
    radius = _TEXT_EPSILON * norms * ops.cast(mask[..., None], "float32")
    # The first and the last token of the captions here are words, as all others.
    draw = keras.random.normal(ops.shape(tokens), seed=0)
    texts = tokens + radius * draw / ops.norm(draw, axis=-1, keepdims=True)
    for _ in range(num_steps):
        gradient = gradient_of(
            lambda rows: _contrast(
                model, model.encode_text_embeddings(rows, mask), clean[0], clean[1], own
            ),
            texts,
        )
        length = ops.norm(gradient, axis=-1, keepdims=True)
        moved = texts - tokens + 1.25 * radius * gradient / ops.maximum(length, 1e-12)
        length = ops.norm(moved, axis=-1, keepdims=True)
        texts = tokens + moved * ops.minimum(1.0, radius / ops.maximum(length, 1e-12))
    found = model.encode_text_embeddings(texts, mask)
    noise = keras.random.uniform(ops.shape(images), -_IMAGE_EPSILON, _IMAGE_EPSILON, seed=1)
    moved = ops.clip(images + noise, 0.0, 1.0)
    for _ in range(num_steps):
        gradient = gradient_of(
            lambda pixels: _contrast(model, model.encode_images(pixels), found, clean[0], own),
            moved,
        )
        moved = moved + 1.25 * _IMAGE_EPSILON * ops.sign(gradient)
        moved = ops.clip(moved, images - _IMAGE_EPSILON, images + _IMAGE_EPSILON)
        moved = ops.clip(moved, 0.0, 1.0)
    return ops.stop_gradient(moved), ops.stop_gradient(texts - tokens)


def _contrast(model, embeddings, gallery, clean, own):
    """The loss of each example, in both directions, against the clean rest of the batch."""
    logits = model.scale() * ops.matmul(embeddings, ops.transpose(gallery))
    rivals = model.scale() * ops.matmul(clean, ops.transpose(gallery))
    right = ops.sum(ops.where(own, logits, 0.0), axis=-1)
    there = ops.logsumexp(ops.where(own, _FAR, logits), axis=-1)
    back = ops.logsumexp(ops.where(own, _FAR, rivals), axis=0)
    return (ops.softplus(there - right) + ops.softplus(back - right)) / 2.0


def _loss(model, batch, moved_images, perturbation):
    """The weighted sum of the four blocks."""
    mask = batch["padding_mask"]
    tokens = model.embed_tokens(batch["token_ids"])
    rows = [model.encode_images(x, training=True) for x in (batch["images"], moved_images)]
    columns = [
        model.encode_text_embeddings(x, mask, training=True)
        for x in (tokens, tokens + perturbation)
    ]
    matrix = model.scale() * ops.matmul(
        ops.concatenate(rows), ops.transpose(ops.concatenate(columns))
    )
    terms = rk.trainers.PRESETS["rocmr"]
    weights = (terms.clean, terms.adversarial_texts, terms.adversarial_images)
    blocks = [
        block for part in ops.split(matrix, 2, axis=0) for block in ops.split(part, 2, axis=1)
    ]
    total = 0.0
    for weight, block in zip((*weights, terms.adversarial_pairs), blocks):
        losses = [ops.diagonal(ops.log_softmax(block, axis=axis)) for axis in (0, 1)]
        total = total - weight * (ops.mean(losses[0]) + ops.mean(losses[1])) / 2.0
    return total
