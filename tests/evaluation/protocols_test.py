import inspect
import json

import keras
import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import SearchedGallery
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import evaluate
from rocmr_keras.evaluation import protocols
from rocmr_keras.metrics import hub_share
from rocmr_keras.metrics import query_ranks

pytestmark = pytest.mark.usefixtures("eagerly")

STEADY = {"num_steps": 3, "random_start": False, "seed": 0}


def steady_threat(protocol, **options):
    return Threat(PGD(0.2, **STEADY), EmbeddingPGD(0.5, **STEADY), protocol=protocol, **options)


@pytest.fixture(scope="module")
def encoded(model, split):
    return EncodedSplit(model, split, batch_size=16, verbose=0)


@pytest.fixture(scope="module")
def random_encoded(random_model, split):
    return EncodedSplit(random_model, split, intra_modal=True, batch_size=16, verbose=0)


def test_gallery_by_hand(encoded):
    """The pale blue and the pale cyan image fall, for each of their three captions.

    So does the yellow one: the failed red, a rival with a cosine of 0.93, comes before it.
    An image that is all that its captions say is the top of the objective: no gradient there
    without a random start.
    """
    threat = Threat(PGD(0.2, num_steps=20, seed=0), protocol="gallery")
    result = threat.protocol.run(encoded, threat)
    assert set(result.rankings) == {"text_to_image"} and result.stalled == {"images": 0.0}
    lost = np.flatnonzero(result.rankings["text_to_image"].ranks > 1)
    assert lost.tolist() == [2, 3, 4, 8]


def test_gallery_has_one_attacked_match_among_clean_rivals(random_encoded):
    """Each query ranked alone, in a gallery where only its own items are replaced."""
    threat, clean = steady_threat("gallery"), random_encoded.clean
    rankings = threat.protocol.run(random_encoded, threat).rankings
    sides = {
        "text_to_image": ("images", clean.texts, clean.text_ids, clean.images, clean.image_ids),
        "image_to_text": ("texts", clean.images, clean.image_ids, clean.texts, clean.text_ids),
    }
    for direction, (modality, queries, ids, items, item_ids) in sides.items():
        searched = SearchedGallery(queries, random_encoded.relevance(direction).transpose())
        attacked, _ = random_encoded.attack(threat, modality, searched)
        expected = []
        for query, query_id in zip(queries, ids):
            own = (item_ids == query_id)[:, None]
            gallery = np.where(own, attacked, items)
            expected += query_ranks(query[None], gallery, [query_id], item_ids).tolist()
        assert rankings[direction].ranks.tolist() == expected
        # The attack is on the whole set of queries that look for an item.
        own = item_ids[:, None] == ids
        before, after = (np.sum(own * (side @ queries.T), axis=1) for side in (items, attacked))
        assert np.all(after < before)
    assert rankings["text_to_image"].ranks.sum() > random_encoded.rank("text_to_image").ranks.sum()


def test_within_a_modality_a_query_is_not_its_own_rival(random_encoded):
    """Two red images: each attacked one leaves the other, not its own clean self."""
    threat = Threat(PGD(0.1, **STEADY), EmbeddingPGD(0.3, **STEADY))
    result = threat.protocol.run(random_encoded, threat)
    assert set(result.rankings) == {
        *("image_to_text", "text_to_image"),
        *("image_to_image", "text_to_text"),
    }
    assert set(result.stalled) == {"images", "texts", "image_to_image", "text_to_text"}
    ranking = result.rankings["image_to_image"]
    assert ranking.queries.tolist() == [0, 6]
    images = random_encoded.clean.images
    searched = random_encoded.searched("image_to_image")
    attacked, _ = random_encoded.attack(threat, "images", searched)
    for query, match, rank in ((0, 6, ranking.ranks[0]), (6, 0, ranking.ranks[1])):
        scores = images @ attacked[query]
        rivals = np.delete(scores, [query, match])
        assert rank == 1 + np.sum(rivals >= scores[match] - 1e-6)
        margins = [
            np.delete(images @ vector, [query, match]).max() - images[match] @ vector
            for vector in (images[query], attacked[query])
        ]
        assert margins[1] > margins[0]


@pytest.fixture(scope="module")
def hubs(random_encoded):
    protocol = protocols.Inserted(num_hubs=2, k=2, seed=3)
    threat = Threat(PGD(0.5, **{**STEADY, "num_steps": 20}), protocol=protocol)
    return protocol, protocol.run(random_encoded, threat), threat


def test_hubs_are_found_by_queries_they_were_not_made_for(hubs, random_encoded):
    _, result, _ = hubs
    figures = result.figures["hubs"]["text_to_image"]
    assert figures["hub_share"] >= 0.6
    assert figures["skewness_after"] > figures["skewness_before"]
    before = result.figures["clean"]["text_to_image"]["mean_rank"]
    assert result.rankings["text_to_image"].ranks.mean() > before + 0.5


def test_hubs_are_measured_on_the_other_half(hubs, random_encoded):
    protocol, result, threat = hubs
    seen, held_out = protocol._halves(np.arange(10))
    assert sorted([*seen, *held_out]) == list(range(10)) and len(seen) == 5
    ranking = result.rankings["text_to_image"]
    assert ranking.queries.tolist() == held_out.tolist()
    clean = random_encoded.clean
    made, _ = protocol._make_hubs(random_encoded, threat, "text_to_image", seen)
    assert made.shape == (2, 6)
    gallery, ids = np.concatenate([clean.images, made]), [*clean.image_ids, -1, -2]
    expected = query_ranks(clean.texts[held_out], gallery, clean.text_ids[held_out], ids)
    np.testing.assert_array_equal(ranking.ranks, expected)
    share = hub_share(clean.texts[held_out], clean.images, made)
    assert result.figures["hubs"]["text_to_image"]["hub_share"] == share


def test_reports_of_all_protocols_are_plain(model, split):
    threats = {name: steady_threat(name) for name in ("query", "gallery", "inserted", "both")}
    report = evaluate(model, split, threats, 16, verbose=0)
    json.dumps(report, allow_nan=False)
    for name, run in report["attacks"].items():
        assert run["budget"]["protocol"] == name
        assert set(run["recall_drop"]) == {"image_to_text", "text_to_image"}
    inserted = report["attacks"]["inserted"]
    assert inserted["budget"]["num_hubs"] == 1
    assert inserted["text_to_image"]["count"] == 5
    clean = inserted["clean"]["text_to_image"]["recall_at_1"]
    drop = clean - inserted["text_to_image"]["recall_at_1"]
    assert inserted["recall_drop"]["text_to_image"] == pytest.approx(drop)


def test_ground_truth_is_what_the_attack_moves_away_from(random_encoded, random_model, split):
    """With everything right for a query, there is nowhere to move it."""
    everything = [np.arange(10)] * 6 + [np.zeros(0, int)]
    threat = Threat(PGD(0.2, **STEADY))
    truth = {"image_to_text": everything}
    report, ranks = evaluate(
        random_model, split, {"pgd": threat}, 16, 0, ground_truth=truth, return_ranks=True
    )
    assert report["attacks"]["pgd"]["stalled_share"] == {"images": 1.0}
    assert ranks["pgd"]["image_to_text"].queries.tolist() == list(range(6))
    assert report["clean"]["image_to_text"]["map_at_r"] == 1.0
    expected = random_encoded.rank("text_to_image").ranks
    np.testing.assert_array_equal(ranks["clean"]["text_to_image"].ranks, expected)


def test_wrong_ground_truth(model, split):
    with pytest.raises(ValueError, match="must have one list for each of the 7 queries"):
        EncodedSplit(model, split, {"image_to_text": [[0]]}, verbose=0)
    with pytest.raises(ValueError, match=r"the keys \['image_to_image'\]. Set `intra_modal=True`"):
        EncodedSplit(model, split, {"image_to_image": []}, verbose=0)
    with pytest.raises(ValueError, match="The name 'clean' is that of"):
        evaluate(model, split, {"clean": PGD(0.1)}, verbose=0)


@pytest.mark.parametrize("name", ["query", "gallery", "inserted", "both"])
def test_get_and_config(name):
    protocol = protocols.get(name)
    assert protocol.name == name and protocols.get(protocol) is protocol
    config = protocol.get_config()
    assert set(config) == set(inspect.signature(type(protocol)).parameters)
    serialized = keras.saving.serialize_keras_object(protocol)
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(protocol) and again.get_config() == config


def test_the_objective_suits_the_protocol():
    assert steady_threat("query").objective == "contrastive"
    assert steady_threat("gallery").objective == "similarity"
    assert steady_threat("inserted").describe()["objective"] == "target_similarity"
    assert steady_threat("gallery", objective="margin").objective == "margin"


def test_errors(encoded):
    with pytest.raises(ValueError, match="must be one of .*'inserted'.*Received: protocol='all'"):
        protocols.get("all")
    with pytest.raises(ValueError, match="needs the objective 'target_similarity'.*'margin'"):
        steady_threat("inserted", objective="margin")
    for num_hubs in (0, 1.5, True):
        with pytest.raises(ValueError, match="`num_hubs` must be a positive integer. Received"):
            protocols.Inserted(num_hubs)
    threat = steady_threat(protocols.Inserted(num_hubs=11))
    with pytest.raises(ValueError, match="Received: num_hubs=11 for 10 items"):
        threat.protocol.run(encoded, threat)
