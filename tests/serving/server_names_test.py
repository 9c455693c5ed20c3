import http.client

import pytest

from rocmr_keras.serving import Server


@pytest.fixture(scope="module")
def named(versions, run_server):
    with run_server(versions, server_names=["search.example.org"]) as server:
        yield server


def ask(server, host, path="/v1/models/toy", address="127.0.0.1"):
    connection = http.client.HTTPConnection(address, server.rest_api_port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    for name in host if isinstance(host, list) else [host]:
        connection.putheader("Host", name)
    connection.endheaders()
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8501", "localhost", "LOCALHOST.:80", "a.localhost", "[::1]:8501"),
        *("search.example.org", "Search.Example.Org:443"),
    ],
)
def test_its_own_names(named, host):
    assert ask(named, host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("192.0.2.1", "[::2]", "localhost:x", "", "a b", "x.search.example.org", []),
        ["localhost", "evil.example"],
    ],
)
@pytest.mark.parametrize("path", ["/v1/models/toy", "/metrics"])
def test_names_of_others(named, host, path):
    status, text = ask(named, host, path)
    # What is no header at all is refused before it comes to us.
    assert status == 421 or status == 400 and isinstance(host, list)
    assert status == 400 or "start it with this name in --server_names" in text


def test_the_page_is_not_shown_either(named):
    status, text = ask(named, "evil.example", "/")
    assert status == 421 and "Received: evil.example. Ask for" in text


def test_address_of_the_connection_where_all_are_bound(versions, run_server):
    with run_server(versions, host="0.0.0.0") as server:
        assert ask(server, "127.0.0.2", address="127.0.0.2")[0] == 200
        assert ask(server, "127.0.0.3", address="127.0.0.2")[0] == 421
        assert ask(server, "evil.example")[0] == 421


@pytest.mark.parametrize("name", ["http://a", "a:80", "a/b", ""])
def test_no_name(versions, name):
    with pytest.raises(ValueError, match="`server_names` must be names without.*Received: "):
        Server(versions, server_names=[name])
