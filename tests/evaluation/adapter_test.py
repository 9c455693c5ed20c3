import keras
import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import evaluate
from rocmr_keras.models import Adapter

pytestmark = pytest.mark.usefixtures("eagerly")

STEADY = {"num_steps": 3, "random_start": False, "seed": 0}
ATTACKS = {
    "pgd": PGD(0.2, **STEADY),
    "embeddings": EmbeddingPGD(0.5, **STEADY),
    "tokens": TokenSubstitution(1, num_candidates=8, look_ahead=False),
}


def test_two_functions_have_the_figures_of_the_model_they_come_from(random_model, split):
    tower = random_model.text_encoder
    adapter = Adapter(
        lambda images: random_model.image_encoder(images),
        tower.encode,
        tower.embedding_table,
        random_model.preprocessor,
        scale=random_model.scale,
    )
    reports = [evaluate(m, split, ATTACKS, 16, verbose=0) for m in (random_model, adapter)]
    for name in ("clean", "attacks"):
        assert reports[0][name] == reports[1][name]


@pytest.fixture
def modules():
    """Two plain torch modules, with dropout and batch statistics in training mode."""
    if keras.config.backend() != "torch":
        pytest.skip("Torch modules run on the torch backend.")
    torch = pytest.importorskip("torch")

    class Texts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(20, 8)
            self.out = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Dropout(0.5))

        def forward(self, rows, padding_mask):
            weights = padding_mask.unsqueeze(-1).float()
            return self.out(torch.tanh((rows * weights).sum(1) / weights.sum(1)))

    torch.manual_seed(0)
    images = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(128, 6),
    )
    return images.train(), Texts().train()


def test_two_torch_modules(modules, preprocessor, split):
    images, texts = modules
    adapter = Adapter(
        images,
        texts,
        texts.table.weight,
        preprocessor,
        scale=10.0,
        data_format="channels_first",
    )
    before = {name: value.clone() for name, value in images.state_dict().items()}
    report, ranks = evaluate(adapter, split, ATTACKS, 16, verbose=0, return_ranks=True)
    for name, run in report["attacks"].items():
        # Gradients flow through both modules.
        assert all(share == 0.0 for share in run["stalled_share"].values()), name
        for direction in run["recall_drop"]:
            clean, attacked = (ranks[key][direction].ranks.mean() for key in ("clean", name))
            assert attacked > clean, name
    for name, value in images.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert all(weight.grad is None for weight in [*images.parameters(), *texts.parameters()])


def test_gallery_protocol_of_an_adapter(random_model, split):
    tower = random_model.text_encoder
    adapter = Adapter(
        random_model.image_encoder, tower.encode, tower.embedding_table, random_model.preprocessor
    )
    threat = Threat(PGD(0.2, **STEADY), protocol="gallery")
    report = evaluate(adapter, split, {"gallery": threat}, 16, verbose=0)
    figures = report["attacks"]["gallery"]["text_to_image"]
    assert figures["mean_rank"] > report["clean"]["text_to_image"]["mean_rank"]
