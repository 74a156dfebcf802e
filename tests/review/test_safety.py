"""Only our own page is answered, nothing leads out of the run, and no answer shows a traceback."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhr.review.guard import Secrets

ADDRESSES = (
    *("", "static/index.html", "api/session", "api/queue", "api/photographs/0", "api/photographs/0/image"),
    *("api/photographs/0/thumb", "api/photographs/0/mask", "api/photographs/0/machine"),
    *("api/photographs/0/layer/cam", "api/photographs/0/cam/1", "api/photographs/0/superpixels"),
)
CHANGES = tuple(f"api/photographs/0/{name}" for name in ("save", "decide", "prepare", "refine", "click"))


@pytest.mark.parametrize("token", ["", "/secre", "/secrets", "/SECRET", "/%73ecre", "/null", "//secret"])
def test_nothing_is_answered_without_the_token(same_page: Any, token: str) -> None:
    for address in (*ADDRESSES, *CHANGES):
        wrong = f"http://127.0.0.1:7000{token}/{address}"
        answer = same_page.get(wrong) if address in ADDRESSES else same_page.post(wrong)
        assert answer.status_code == 403 and "address" in answer.json()["error"], address
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7000", "127.0.0.1.evil.example:7000", "localhost.evil.example", "127.0.0.2:7000",
        "[::1]:7000", "", "127.0.0.1:7000@evil.example", "127.0.0.1:x", "127.0.0.1:٧", "127.0.0.1 evil.example",
    ],
)  # fmt: skip
def test_other_hosts_are_refused_so_dns_rebinding_fails(same_page: Any, host: str) -> None:
    for address in ("", "api/session", "api/photographs/0/mask"):
        assert same_page.get(address, headers={"Host": host.encode()}).status_code == 403
    assert same_page.post("api/photographs/0/decide", headers={"Host": host.encode()}, json={}).status_code == 403


def test_the_same_machine_may_be_called_localhost_or_seen_through_a_tunnel(page: Any) -> None:
    for host in ("localhost:7000", "127.0.0.1:9999", "LOCALHOST"):
        assert page.get("api/session", headers={"Host": host}).status_code == 200
        headers = {"Host": host, "Origin": f"http://{host}"}
        answer = page.post(
            "api/photographs/0/decide", json={"state": "skipped", "revision": page.revision(0)}, headers=headers
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:7000",
        "http://127.0.0.1:7001",
        "http://127.0.0.1",
        "",
        "file://",
    ],
)
def test_other_origins_change_nothing(same_page: Any, origin: str) -> None:
    for address in CHANGES:
        assert same_page.post(address, headers={"Origin": origin}, content=b"").status_code == 403
    assert same_page.revision(0) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_changes_need_a_header_that_forms_cannot_send(same_page: Any, method: str) -> None:
    for address in (*CHANGES, *ADDRESSES):
        assert same_page.client.request(method, address).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET", "HEAD"])
def test_wrong_methods_are_refused(same_page: Any, method: str) -> None:
    for address in CHANGES:
        assert same_page.client.request(method, address, headers={"X-Review": "1"}).status_code == 405
    for address in ADDRESSES:
        if method not in ("GET", "HEAD"):
            answer = same_page.client.request(method, address, headers={"X-Review": "1"})
            assert answer.status_code == 405 and answer.json()["error"]


def test_answers_keep_the_address_secret_and_load_nothing_from_elsewhere(same_page: Any) -> None:
    for address in (*ADDRESSES, "static/nothing.js", "nothing"):
        headers = same_page.get(address).headers
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "set-cookie" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "../server.py",
        "..%2fserver.py",
        "%2e%2e/server.py",
        "/etc/passwd",
        "..\\server.py",
        "app.py",
        "index.html%00",
        ".",
        "",
    ],
)
def test_only_files_of_the_page_are_served(same_page: Any, name: str) -> None:
    assert same_page.get(f"static/{name}").status_code == 404


@pytest.mark.parametrize(
    "number",
    ["-1", "4", "1.0", "0x0", "٣", "1e0", "..", "..%2f..%2frun", "%00", "9" * 5000, "0%20", "p0", "01234567890"],
)
def test_only_numbers_of_photographs_lead_to_one(same_page: Any, number: str) -> None:
    for kind in ("", "/mask", "/thumb", "/layer/cam", "/cam/1"):
        assert same_page.get(f"api/photographs/{number}{kind}").status_code == 404
    assert same_page.post(f"api/photographs/{number}/save", content=b"").status_code == 404


def test_layers_lead_nowhere_else(page: Any) -> None:
    (page.out / "stages" / "x.png").write_bytes((page.out / "masks" / "p0.png").read_bytes())
    for step in ("%2e%2e", "..%2fx", "..%2f..%2fmasks", "%2e", "mask", "cam%00", "CAM"):
        assert page.get(f"api/photographs/0/layer/{step}").status_code == 404


@pytest.mark.parametrize("folder", ["masks", "items", "stages", "stages/cam", "corrections", "corrections/items"])
def test_links_in_the_folder_are_not_followed(open_page: Callable[..., Any], tmp_path: Path, folder: str) -> None:
    """A folder of another place is never written, and a mask behind a link never shown."""
    elsewhere = tmp_path / "elsewhere"
    page = open_page()
    place = page.out / folder
    if place.exists():
        place.rename(elsewhere)
    elsewhere.mkdir(exist_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    answer = page.post("api/photographs/0/decide", json={"state": "accepted", "revision": 0})
    if not folder.startswith("stages"):
        assert answer.status_code == 409 and "link" in answer.json()["error"]
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before
    if folder.startswith("stages"):
        assert page.get("api/photographs/0/layer/cam").status_code == 409


def test_a_damaged_decision_is_named(page: Any) -> None:
    page.post("api/photographs/0/decide", json={"state": "skipped", "revision": 0})
    record = next((page.out / "corrections" / "items").glob("*.json"))
    for content in ("{", '{"state": "great"}', json.dumps({"state": "mended", "digest": "0"})):
        record.write_text(content)
        answer = page.get("api/photographs/0")
        assert answer.status_code == 200 and record.name in answer.json()["damaged"]
    assert page.get("api/queue").status_code == 200


def test_a_browser_is_started_without_the_token(same_page: Any) -> None:
    """The command line of a browser can be read by others; the address in it holds for a short time only."""
    answer = same_page.get(f"http://127.0.0.1:7000/{same_page.keys.start}")
    assert answer.status_code == 303 and answer.headers["location"] == "/secret/"
    old = replace(same_page.keys, begun=time.monotonic() - 3600)
    assert same_page.keys.starts(same_page.keys.start) and not old.starts(same_page.keys.start)
    assert not same_page.keys.opens(same_page.keys.start) and len({Secrets().token for _ in range(5)}) == 5


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.integers(), max_size=4)
)
LATIN = st.text(st.characters(codec="latin-1"), max_size=20)
PARTS = st.one_of(st.sampled_from(["0", "1", "9", "..", "cam", "1", "%2e%2e", "x"]), st.text(max_size=6))
KINDS = st.sampled_from(
    ["", "image", "thumb", "mask", "machine", "layer", "cam", "superpixels", "save", "decide", "prepare", "click", "x"]
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "POST"]), PARTS, KINDS, PARTS,
    st.dictionaries(st.sampled_from(["offset", "limit", "state", "class", "search", "order"]), st.text(max_size=5)),
    st.one_of(
        st.binary(max_size=900), st.just(bytes(768)),
        st.dictionaries(st.sampled_from(["state", "revision", "tags", "points", "box"]), ODD).map(
            lambda one: json.dumps(one).encode()
        ),
    ),
    st.dictionaries(
        st.sampled_from(["X-Decision", "Content-Encoding", "If-None-Match", "Content-Type", "Accept-Encoding"]),
        st.one_of(st.sampled_from(["gzip", '{"state":"mended","revision":0}']), LATIN),
    ),
)  # fmt: skip
def test_no_request_ends_in_a_traceback(
    page: Any,
    method: str,
    number: str,
    kind: str,
    part: str,
    query: dict[str, str],
    body: bytes,
    headers: dict[str, str],
) -> None:
    from urllib.parse import quote

    address = "/".join(["api/photographs", quote(number, safe="%"), kind, quote(part, safe="%")]).rstrip("/")
    sent = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
    for place in (address, "api/queue") if query else (address,):
        answer = page.client.request(
            method, place, params=query, content=body if method == "POST" else None, headers={**sent, "X-Review": "1"}
        )
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            message = answer.json()["error"]
            assert message and "\n" not in message and "Traceback" not in message
    assert {one.name for one in page.out.iterdir()} <= {
        "run.json",
        "masks",
        "items",
        "stages",
        "corrections",
        "run.lock",
        "gone",
        "cams",
    }
