"""The page in a real browser, and what it asks the server for."""

import base64
import contextlib
import http.client
import json
import re
import shutil

import pytest

from rocmr_keras.serving import Page
from rocmr_keras.serving import Thumbnails

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
WAIT = 120


@pytest.fixture(scope="module")
def site(versions, paths, lab, run_server):
    labels = {"red.png": "<b>red & hot</b>"}
    page = Page(versions, Thumbnails(paths, labels), lab)
    with run_server(versions, page=page) as server:
        yield server


@pytest.fixture
def fetch(site):
    def send(method, path, body=None, content_type="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", site.rest_api_port, timeout=WAIT)
        connection.request(method, path, body, {"Content-Type": content_type})
        response = connection.getresponse()
        contents = response.read()
        connection.close()
        return response, contents

    return send


def test_page_is_self_contained(fetch):
    response, contents = fetch("GET", "/")
    assert response.status == 200 and response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert b"://" not in contents and b"innerHTML" not in contents


def read_settings(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=WAIT)
    connection.request("GET", "/page/settings")
    settings = json.loads(connection.getresponse().read())
    connection.close()
    return settings


def test_what_the_page_opens_with(site):
    settings = read_settings(site)
    assert settings["pictures"] == ["red.png", "green.png", "blue.png"]
    assert settings["num_pictures"] == 3 and settings["examples"] == ["<b>red & hot</b>"]
    assert settings["attack_models"] == ["open", "blind"] and settings["attack_is_off"] == ""


def test_every_part_that_the_script_asks_for_is_there(fetch):
    html = fetch("GET", "/")[1].decode()
    found = re.findall(r'id="(\w+)"', html)
    assert len(found) == len(set(found))
    # `aria-` and `for` name parts too.
    named = re.findall(r'(?:aria-labelledby|aria-describedby|for)="(\w+)"', html)
    assert set(re.findall(r'\$\("(\w+)"\)', html)) | set(named) <= set(found)
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    light, dark = re.findall(r":root \{(.*?)\}", html, re.S)
    assert all(f"{name}:" in light for name in used)
    assert all(f"{name}:" in dark for name in used)


def test_thumbnails(fetch, paths):
    response, contents = fetch("GET", "/thumbnails/red.png")
    assert response.headers["Content-Type"] == "image/png"
    with open(paths["red.png"], "rb") as file:
        assert contents == file.read()


@pytest.mark.parametrize(
    "name", ["white.png", "../red.png", "..%2Fred.png", "%2Fetc%2Fpasswd", "%00", "red.png/"]
)
def test_no_other_file(fetch, name):
    response, contents = fetch("GET", f"/thumbnails/{name}")
    assert response.status == 404 and b"error" in contents


def test_attack(fetch, make_png):
    image = base64.b64encode(make_png((112, 100, 92))).decode()
    response, contents = fetch("POST", "/page/attack", json.dumps({"image": image, "epsilon": 16}))
    attacked, blind = json.loads(contents)["results"]
    assert response.status == 200
    assert attacked["before"][0]["name"] == "red.png" != attacked["after"][0]["name"]
    assert blind["before"] == blind["after"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b'{"image": "!"}', "Error"),
        (b'{"text": "red"}', "KeyError"),
        (b'{"image": "AAAA", "epsilon": 8}', "cannot be read"),
        (b'{"text": "red", "num_substitutions": 9}', "at most 3"),
    ],
)
def test_bad_attack(fetch, body, message):
    response, contents = fetch("POST", "/page/attack", body)
    assert response.status == 400 and message in json.loads(contents)["error"]


def test_form_of_another_site(fetch):
    response, _ = fetch("POST", "/page/attack", b"{}", "text/plain")
    assert response.status == 415


def test_without_pictures_and_models(versions, run_server):
    with run_server(versions, page=Page(versions)) as server:
        settings = read_settings(server)
        assert settings["pictures"] == [] and settings["examples"][0] == "a red apple"
        assert "this server was started without models to attack" in settings["attack_is_off"]
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=WAIT)
        for method, path, status in (
            ("GET", "/page/settings", 200),
            ("GET", "/thumbnails/red.png", 404),
            ("POST", "/page/attack", 501),
        ):
            connection.request(method, path, "{}", {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == status
        connection.close()


@contextlib.contextmanager
def chromium(folder):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not CHROMIUM or not shutil.which("chromedriver"):
        pytest.skip("Chromium with chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={folder}", "--window-size=900,1400"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()


def test_search_and_attack_in_a_browser(site, paths, tmp_path):
    with chromium(tmp_path) as browser:
        from selenium.webdriver.common.keys import Keys
        from selenium.webdriver.support.ui import WebDriverWait

        def texts(selector):
            return [e.text for e in browser.find_elements("css selector", selector)]

        def wait(condition):
            WebDriverWait(browser, WAIT).until(lambda _: condition())

        browser.get(f"http://127.0.0.1:{site.rest_api_port}/")
        wait(lambda: "model toy, version 3" in texts("#model"))
        assert texts("#examples button") == ["<b>red & hot</b>"] and len(texts("#pictures li")) == 3
        assert texts("#off") == ["Attack is off until you have searched."]
        # By keyboard alone.
        field = browser.switch_to.active_element
        while field.get_attribute("id") != "text":
            field.send_keys(Keys.TAB)
            field = browser.switch_to.active_element
        field.send_keys("red green", Keys.ENTER)
        wait(lambda: len(texts("#tiles li")) == 3)
        assert texts("#off") == [""] and not browser.find_element("id", "gallery").is_displayed()
        assert texts("#tiles b") == ["<b>red & hot</b>", "green.png", "blue.png"]
        pictures = "return [...document.querySelectorAll('#tiles img')].map(i => i.naturalWidth)"
        wait(lambda: browser.execute_script(pictures) == [4, 4, 4])
        wait(lambda: browser.find_element("id", "attack").is_enabled())
        browser.find_element("id", "attack").send_keys(Keys.ENTER)
        wait(lambda: len(texts("#models article")) == 2)
        assert texts("#models h2") == ["open", "blind"] and len(texts("#models li")) == 12
        browser.find_element("id", "file").send_keys(paths["red.png"])
        wait(lambda: texts("#about") == ["for your picture"])
        wait(lambda: browser.find_element("id", "attack").is_enabled())
        browser.find_element("id", "attack").click()
        wait(lambda: len(texts("#models figure")) == 6)
        assert texts(".verdict") == ["3 of 3 still found"] * 2
        width = "return document.documentElement.scrollWidth - innerWidth"
        assert browser.execute_script(width) <= 0
        assert browser.get_log("browser") == []
