"""Bodies that stall cost others nothing."""

import http.client
import json

import pytest

from rocmr_keras.serving import Admission
from rocmr_keras.serving import Bodies

LARGE = 700_000


@pytest.fixture(scope="module")
def small(versions, run_server):
    """A server with room for two requests and three large bodies, which wait two seconds."""
    bodies = Bodies(2**20, 3 * 2**20, seconds=2.0)
    with run_server(versions, admission=Admission(1, 2, bodies)) as server:
        yield server


def send(server, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=30)
    connection.request("POST", "/v1/models/toy:predict", body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def good(length=10):
    return json.dumps({"instances": ["a" * length]})


def read(connection):
    answer = connection.recv(10_000).decode()
    connection.close()
    return answer


def test_stalled_bodies_hold_no_place(small, begin):
    stalled = [begin(small.rest_api_port, b'{"inst') for _ in range(10)]
    assert [send(small, good())[0] for _ in range(3)] == [200] * 3
    for connection in stalled:
        answer = read(connection)
        assert " 408 " in answer and "must arrive within 2 seconds" in answer
    assert small.admission.bodies.num_bytes == 0


def test_the_longest_silent_gives_way(small, begin, wait_for):
    bodies = small.admission.bodies
    stalled = []
    for count in range(1, 5):
        stalled.append(begin(small.rest_api_port, b"a" * LARGE, LARGE + 100))
        wait_for(lambda: bodies.num_bytes == count * LARGE)
    assert send(small, good(LARGE))[0] == 200
    # One had to give way, the first of them.
    assert 3 * LARGE <= bodies.num_bytes < 4 * LARGE <= bodies.max_total_bytes
    answer = read(stalled[0])
    assert " 503 " in answer and "no room for more bodies" in answer
    for connection in stalled[1:]:
        assert " 408 " in read(connection)
    wait_for(lambda: bodies.num_bytes == 0)


def test_room_is_full_of_what_waits(small, occupy, begin, wait_for):
    whole = good(2**20 - 100).encode()
    with occupy(small):
        waiting = [begin(small.rest_api_port, whole, len(whole)) for _ in range(2)]
        wait_for(lambda: small.admission.num_admitted == 2)
        # A place is refused when the body is there, and its room is free again.
        status, text = send(small, good(LARGE))
        assert status == 503 and "2 requests waiting" in text
        small.admission.max_waiting = 3
        waiting.append(begin(small.rest_api_port, whole, len(whole)))
        wait_for(lambda: small.admission.num_admitted == 3)
        status, text = send(small, good(LARGE))
        assert status == 503 and "no room for more bodies" in text
        small.admission.max_waiting = 2
    for connection in waiting:
        assert " 200 " in read(connection)
    assert send(small, good())[0] == 200
    wait_for(lambda: small.admission.bodies.num_bytes == 0)


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}])
def test_body_that_is_not_what_it_says(small, headers, caplog):
    connection = http.client.HTTPConnection("127.0.0.1", small.rest_api_port, timeout=30)
    connection.request("POST", "/v1/models/toy:predict", b"no such thing", headers)
    response = connection.getresponse()
    assert response.status == 400 and "Traceback" not in caplog.text
    connection.close()


def test_bad_limits():
    with pytest.raises(ValueError, match="`seconds` must be above 0. Received: seconds=0. The"):
        Bodies(seconds=0)
