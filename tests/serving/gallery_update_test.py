"""A gallery changes while it is searched: nothing is lost, and each answer is of one version."""

import contextlib
import http.client
import json
import shutil
import threading
import time

import numpy as np
import pytest

from rocmr_keras.export import export_update
from rocmr_keras.export import read_gallery
from rocmr_keras.export import verify
from rocmr_keras.gallery import Gallery
from rocmr_keras.serving import ModelVersions
from rocmr_keras.serving import Servable

TEXTS = ["a red square", "some green"]
BODY = json.dumps({"signature_name": "search_by_text", "inputs": {"texts": TEXTS, "k": 9}})


class Client(threading.Thread):
    """Asks again and again over one connection, until told to stop."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.is_enough = threading.Event()
        self.answers = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            self.ask(connection)

    def ask(self, connection):
        while not self.is_enough.is_set():
            connection.request("POST", "/v1/models/m:predict", BODY)
            response = connection.getresponse()
            found = json.loads(response.read())
            ids = found["outputs"]["ids"] if response.status == 200 else found
            self.answers.append((response.status, ids))
            # The new version is made on the same cores.
            time.sleep(0.02)


@pytest.fixture
def base(exported, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(exported[0] / "1", base / "1")
    # Of an update that was killed, almost done.
    (base / ".2.999999999.writing").mkdir()
    (base / ".2.999999999.writing" / "saved_model.pb").write_bytes(b"half")
    return base


@pytest.mark.processor
def test_a_gallery_that_changes_under_load(small_model, base, run_server, wait_for):
    old = read_gallery(base / "1")
    added = -old.vectors[:7]
    changed = old.remove([103, 110]).append(added, 500 + np.arange(7))
    with run_server(ModelVersions("m", base, verify), poll_seconds=0.05) as server:
        clients = [Client(server.rest_api_port) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            path = export_update(small_model, base / "1", changed)
            wait_for(lambda: server.versions.available() == [2], seconds=300)
            before = len(clients[0].answers)
            wait_for(lambda: len(clients[0].answers) > before + 3, seconds=300)
        finally:
            for client in clients:
                client.is_enough.set()
                client.join()
    servables = [Servable(base / "1", 1), Servable(path, 2)]
    expected = [search(servable)["ids"].tolist() for servable in servables]
    assert expected[0] != expected[1]
    for client in clients:
        statuses, ids = zip(*client.answers)
        assert set(statuses) == {200}
        turn = ids.index(expected[1])
        assert all(each == expected[place >= turn] for place, each in enumerate(ids))
    rows = [row for row in range(40) if row not in (3, 10)]
    names = [*(old.names[row] for row in rows), *map(str, range(500, 507))]
    ids = np.concatenate([old.ids[rows], 500 + np.arange(7)])
    anew = Gallery(np.concatenate([old.vectors[rows], added]), ids, names)
    embed = servables[1].run("embed_texts", {"texts": np.array(TEXTS, object)})
    truth, found = anew.search(embed["embeddings"], 9), search(servables[1])
    np.testing.assert_array_equal(found["ids"], truth["ids"])
    np.testing.assert_array_equal(found["scores"], truth["scores"])
    assert [name.decode() for name in found["names"].ravel()] == truth["names"].ravel().tolist()
    before, after = verify(base / "1"), verify(path)
    assert after["flags"] == {"preset": "rocmr"} and after["weights"]["dtype"] == "float32"
    assert set(after["signatures"]) == set(before["signatures"])


def search(servable):
    inputs = {"texts": np.array(TEXTS, object), "k": np.int32(9)}
    return servable.run("search_by_text", inputs)
