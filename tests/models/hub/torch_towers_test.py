"""Foreign CLIPs: small modules of the same structure here, and the packages where installed."""

import types

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data import Split
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate
from rocmr_keras.models import Adapter

IS_TORCH = keras.config.backend() == "torch"
needs_torch = pytest.mark.skipif(not IS_TORCH, reason="Torch modules run on the torch backend.")
PIECES = [f"{word}</w>" for word in ("a", "red", "green", "blue", "square", "tiny")]
PIECES = ["!", *PIECES, "re", "ta", *(f"w{n}</w>" for n in range(7)), "<start>", "<end>"]
CAPTIONS = ["a red square", "tiny green", "blue", "a blue w3 square", "a red w5", "green w1"]
SIZE, LENGTH, PIXELS = len(PIECES), 7, np.random.RandomState(0).uniform(size=(6, 8, 8, 3))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
START = ["<start>", "a</w>", "red</w>", "square</w>"]


class OpenClipTokenizer:
    """Lays texts out as the tokenizer of open_clip does: zeros behind the end."""

    decoder = dict(enumerate(PIECES))
    all_special_ids = [SIZE - 2, SIZE - 1]
    eot_token_id = SIZE - 1

    def __call__(self, texts, context_length):
        rows = np.zeros((len(texts), context_length), "int64")
        for row, text in zip(rows, texts):
            pieces = [PIECES.index(f"{word}</w>") for word in text.split()]
            filled = [SIZE - 2, *pieces[: context_length - 2], SIZE - 1]
            row[: len(filled)] = filled
        return rows

    def decode(self, token_ids):
        return "".join(PIECES[i] for i in token_ids).replace("</w>", " ")


class TransformersTokenizer:
    """The same with the interface of transformers, padded with the end, as CLIP's is."""

    all_special_ids = [SIZE - 2, SIZE - 1]
    eos_token_id = pad_token_id = SIZE - 1

    def __len__(self):
        return SIZE

    def convert_ids_to_tokens(self, token_ids):
        return [PIECES[i] for i in token_ids]

    def __call__(self, texts, max_length, **options):
        assert options["truncation"] and options["padding"] == "max_length"
        token_ids = OpenClipTokenizer()(texts, max_length)
        mask = np.arange(max_length) <= token_ids.argmax(1)[:, None]
        ids = np.where(mask, token_ids, SIZE - 1)
        return {"input_ids": ids.tolist(), "attention_mask": mask.astype(int).tolist()}

    decode = OpenClipTokenizer.decode


def make_module(names):
    """A torch CLIP whose texts are pooled at the largest id, with dropout in training mode."""
    torch = pytest.importorskip("torch")

    class Clip(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.Tanh(), torch.nn.Flatten()
            )
            self.visual.image_size = (8, 8)
            self.image_projection = torch.nn.Linear(32, 6)
            self.token_embedding = torch.nn.Embedding(SIZE, 8)
            self.positions = torch.nn.Parameter(torch.randn(LENGTH, 8))
            self.out = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Dropout(0.5))
            self.logit_scale = torch.nn.Parameter(torch.tensor([1.5]))
            self.context_length = LENGTH
            self.text_model = types.SimpleNamespace(token_embedding=self.token_embedding)
            configs = [{"image_size": 8}, {"max_position_embeddings": LENGTH}]
            vision, text = (types.SimpleNamespace(**config) for config in configs)
            self.config = types.SimpleNamespace(vision_config=vision, text_config=text)

        def images(self, pixel_values):
            return self.image_projection(self.visual(pixel_values))

        def texts(self, input_ids, attention_mask=None):
            rows = torch.tanh(self.token_embedding(input_ids) + self.positions)
            rows = rows.cumsum(1) / torch.arange(1, LENGTH + 1)[:, None]
            return self.out(rows[torch.arange(len(rows)), input_ids.argmax(-1)])

    torch.manual_seed(0)
    for name, method in zip(names, (Clip.images, Clip.texts)):
        setattr(Clip, name, method)
    return Clip().train()


def of_transformers():
    model = make_module(("get_image_features", "get_text_features"))
    return model, Adapter.from_transformers(model, TransformersTokenizer(), None, MEAN, STD)


def of_open_clip():
    model = make_module(("encode_image", "encode_text"))
    return model, Adapter.from_open_clip(model, OpenClipTokenizer(), None, MEAN, STD)


def small_transformers():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "projection_dim": 6}
    text = {"vocab_size": SIZE, "max_position_embeddings": LENGTH, "eos_token_id": SIZE - 1}
    config = transformers.CLIPConfig(
        text_config={**sizes, **text, "bos_token_id": SIZE - 2, "pad_token_id": SIZE - 1},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
        projection_dim=6,
    )
    model = spread(transformers.CLIPModel(config))
    return model, Adapter.from_transformers(model, TransformersTokenizer(), 8, MEAN, STD)


def small_open_clip():
    open_clip = pytest.importorskip("open_clip")
    sizes = {"width": 16, "layers": 2}
    vision = {**sizes, "head_width": 8, "image_size": 8, "patch_size": 4}
    text = {**sizes, "heads": 2, "context_length": LENGTH, "vocab_size": SIZE}
    model = spread(open_clip.model.CLIP(6, vision, text))
    return model, Adapter.from_open_clip(model, OpenClipTokenizer(), 8, MEAN, STD)


def spread(model):
    """Larger token embeddings: those of fresh models are all but one."""
    table = next(value for name, value in model.named_parameters() if "token_emb" in name)
    table.data.copy_(table.data / table.data.std())
    return model


@pytest.fixture(
    scope="module", params=[of_transformers, of_open_clip, small_transformers, small_open_clip]
)
def case(request):
    if not IS_TORCH:
        pytest.skip("Torch modules run on the torch backend.")
    return request.param()


def own_embeddings(model, adapter):
    """What the model says itself, of pixels and ids that were made by hand."""
    torch = pytest.importorskip("torch")
    pixels = ((PIXELS - MEAN) / STD).transpose(0, 3, 1, 2)
    pixels = torch.tensor(pixels, dtype=torch.float32)
    model.eval()
    with torch.no_grad():
        if hasattr(model, "get_text_features"):
            ids = TransformersTokenizer()(CAPTIONS, LENGTH, truncation=True, padding="max_length")
            ids = {name: torch.tensor(value) for name, value in ids.items()}
            found = model.get_image_features(pixels), model.get_text_features(**ids)
        else:
            ids = torch.tensor(OpenClipTokenizer()(CAPTIONS, LENGTH))
            found = model.encode_image(pixels), model.encode_text(ids)
    found = [getattr(value, "pooler_output", value) for value in found]
    return [torch.nn.functional.normalize(value, dim=-1).numpy() for value in found]


def test_the_embeddings_of_the_model_itself(case):
    model, adapter = case
    found = adapter.encode_images(PIXELS.astype("float32")), adapter.encode_texts(CAPTIONS)
    found = [ops.convert_to_numpy(value) for value in found]
    for own, value in zip(own_embeddings(model, adapter), found):
        np.testing.assert_allclose(value, own, atol=1e-5)
    assert np.abs(found[1][0] - found[1][1]).max() > 1e-2
    expected = np.exp(model.logit_scale.detach().numpy()).reshape(())
    np.testing.assert_allclose(ops.convert_to_numpy(adapter.scale()), expected, rtol=1e-6)
    assert adapter.count_params() == sum(value.numel() for value in model.parameters())


def test_attacks_run_through_evaluate(case):
    model, adapter = case
    model.train()
    split = Split((255 * PIXELS).astype("uint8"), range(6), CAPTIONS, range(6))
    attacks = {
        "pgd": PGD(0.1, 3, random_start=False),
        "tokens": TokenSubstitution(1, 8),
        "words": TokenSubstitution(1, 8, candidates=WholeWords()),
    }
    report = evaluate(adapter, split, attacks, 6, verbose=0)
    for name, run in report["attacks"].items():
        assert set(run["stalled_share"].values()) == {0.0}, name
    encoded = EncodedSplit(adapter, split, batch_size=6, verbose=0)
    images, texts = encoded.clean.images, encoded.clean.texts
    clean = np.sum(images * texts, axis=1)
    found = encode_attacked(encoded, "images", attacks["pgd"], "similarity")
    assert np.all(np.sum(found["embeddings"] * texts, axis=1) < clean - 1e-4)
    found = encode_attacked(encoded, "texts", attacks["tokens"], "similarity")
    assert np.all(np.sum(found["embeddings"] * images, axis=1) < clean - 1e-4)
    assert all(weight.grad is None for weight in model.parameters())


def test_texts_are_read_and_written(case):
    preprocessor = case[1].preprocessor
    tokens = preprocessor.tokenize(["a red square", "a a a a a a a a"])
    assert preprocessor.tokens(tokens["token_ids"])[0][:4] == START
    assert tokens["padding_mask"].sum(1).tolist() == [5, LENGTH]
    assert tokens["token_ids"].dtype == "int32"
    assert preprocessor.detokenize(tokens["token_ids"])[0] == "a red square"
    assert preprocessor.tokenize([])["token_ids"].shape == (0, LENGTH)
    assert preprocessor.marks_word_ends and case[1].special_token_ids == (SIZE - 2, SIZE - 1)
    words = np.flatnonzero(preprocessor.whole_word_mask)
    assert {PIECES[place] for place in words} == {p for p in PIECES if p.endswith("</w>")}


@needs_torch
def test_errors():
    model, tokenizer = make_module(("encode_image", "encode_text")), OpenClipTokenizer()
    with pytest.raises(ValueError, match="Received: Clip without .'get_image_features'"):
        Adapter.from_transformers(model, tokenizer)
    with pytest.raises(ValueError, match="Received: tokenizer=object"):
        Adapter.from_open_clip(model, object())
    with pytest.raises(NotImplementedError, match="of another package is not saved"):
        preprocessor = Adapter.from_open_clip(model, tokenizer).preprocessor
        type(preprocessor).from_config(preprocessor.get_config())
    del model.token_embedding, model.text_model
    with pytest.raises(ValueError, match="must have a token table at one of"):
        Adapter.from_open_clip(model, tokenizer)


@pytest.mark.skipif(IS_TORCH, reason="The torch backend takes them.")
def test_other_backends_refuse_torch_modules():
    model = types.SimpleNamespace(encode_image=len, encode_text=len)
    model.visual, model.context_length = types.SimpleNamespace(image_size=8), LENGTH
    with pytest.raises(ValueError, match="run on the torch backend. Received: KERAS_BACKEND="):
        Adapter.from_open_clip(model, OpenClipTokenizer())
