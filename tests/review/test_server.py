"""The real server: started, addressed, closed; the function and the command."""

import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhr as library
from dhr.api.opened_run import opened_run
from dhr.api.review import ReviewSession
from dhr.corrections import Correction
from dhr.data.images import read_mask
from dhr.data.palette import class_palette
from dhr.errors import ConfigError, OutputError
from dhr.progress import silent
from dhr.review.answers import RefusedError
from dhr.review.mending import FREE, Mending
from dhr.review.server import Server

from ..models.sams import write_tiny_sam


def fetched(url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as failure:
        return failure.code, failure.read()


@pytest.fixture
def session(written_run: Path, page: Any) -> Any:
    run = page.desk.photographs.run
    with library.review(run.folder.root, data=run.data, open_browser=False) as made:
        yield made


def test_a_session_serves_the_page_until_it_is_closed(session: ReviewSession) -> None:
    assert session.url.startswith("http://127.0.0.1:") and session.photographs == 4
    assert fetched(session.url)[0] == 200
    assert json.loads(fetched(session.url + "api/session")[1])["counts"]["all"] == 4
    port = session._server.port
    assert fetched(f"http://127.0.0.1:{port}/api/session")[0] == 403
    assert f'src="{session.url}"' in session._repr_html_() and session._server.keys.token not in repr(session)
    session.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_a_body_is_refused_before_it_is_read(session: ReviewSession) -> None:
    """A gigabyte is announced and a part sent; the answer comes at once."""
    with socket.create_connection(("127.0.0.1", session._server.port), timeout=20) as line:
        address = f"/{session._server.keys.token}/api/photographs/0/save"
        head = f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Review: 1\r\nContent-Length: 1000000000\r\n\r\n"
        line.sendall(head.encode() + bytes(100_000))
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_requests_that_are_not_http_do_no_harm(session: ReviewSession) -> None:
    for odd in (
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET " + b"a" * 100_000,
        b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://elsewhere.example/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", session._server.port), timeout=20) as line:
            line.sendall(odd)
            line.shutdown(socket.SHUT_WR)
            assert line.recv(1000)[:10] in (b"HTTP/1.1 4", b"")
    assert fetched(session.url)[0] == 200


def test_many_pages_at_once_save_one_after_another(session: ReviewSession) -> None:
    """Of twenty that decide with the same revision, one wins; the others are told."""
    found = list[int]()
    body = json.dumps({"state": "skipped", "revision": 0}).encode()

    def decide() -> None:
        found.append(fetched(session.url + "api/photographs/1/decide", body, {"X-Review": "1"})[0])

    threads = [threading.Thread(target=decide) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, *[409] * 19]


def test_a_port_that_is_taken_is_told(session: ReviewSession) -> None:
    run = session._server.desk.photographs.run
    with pytest.raises(OutputError, match=f"port {session._server.port} cannot be used"):
        library.review(run.folder.root, data=run.data, port=session._server.port, open_browser=False)
    with pytest.raises(ConfigError, match="port must be 0 to 65535"):
        library.review(run.folder.root, data=run.data, port=70000)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dhr.api.review._NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(ConfigError, match=r"no_such_package.*dhr\[review\]"):
        library.review(tmp_path)


def test_the_command_serves_until_ctrl_c(
    finished: Any, dhr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = dict[str, Any]()

    def wait(server: Server) -> None:
        seen["page"] = fetched(server.url)[0]
        seen["queue"] = json.loads(fetched(server.url + "api/queue")[1])
        seen["url"] = server.url
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "wait", wait)
    monkeypatch.setattr("webbrowser.open", lambda address: seen.update(browser=fetched(address)[0], address=address))
    ended = dhr(["review", "--run", finished.out])
    assert ended.code == 0 and seen["url"] in ended.out and not ended.err
    assert seen["page"] == seen["browser"] == 200 and seen["queue"]["total"] == 5
    assert seen["url"].split("/")[3] not in seen["address"]  # others may read the browser's command line
    quiet = dhr(["review", "--run", finished.out, "-q", "--no-open-browser"])
    assert quiet.out.splitlines() == [seen["url"], "Ended; all decisions are saved."]
    monkeypatch.setattr(Server, "wait", lambda server: os.kill(os.getpid(), signal.SIGTERM))
    ended = dhr(["review", "--run", finished.out, "--no-open-browser"])
    assert ended.code == 143
    assert ended.err == ("dhr: ended by SIGTERM; all decisions are saved, and the same command opens the page again\n")
    refused = dhr(["review", "--run", finished.data, "--no-open-browser"])
    assert refused.code == 2 and refused.err.count("\n") == 1 and "run.json" in refused.err


def test_the_networks_of_a_run_refine_a_mask(fresh: Any, dhr: Callable[..., Any], tmp_path: Path) -> None:
    """What was drawn stays in the mask that comes back; a click gives a thing."""
    network = write_tiny_sam(tmp_path)
    assert dhr(fresh.run("--boundary.kind", "sam", "--boundary.sam.model", str(network), "--no-stages")).code == 0
    with library.review(fresh.out, open_browser=False) as session:
        address = session.url + "api/photographs/0"
        assert json.loads(fetched(session.url + "api/session")[1])["tools"]["sam"] is True
        assert fetched(address + "/prepare", b"", {"X-Review": "1"})[0] == 202
        found = json.loads(fetched(address)[1])
        width, tags = found["width"], found["tags"]
        held = bytearray([254]) * (width * found["height"])
        held[: width * 4] = bytes([tags[0]]) * (width * 4)
        wish = {"X-Review": "1", "X-Decision": json.dumps({"tags": tags})}
        status, made = fetched(address + "/refine", bytes(held), wish)
        assert status == 200 and len(made) == len(held) and made[: width * 4] == held[: width * 4]
        assert {*made} <= {0, *tags, 255}
        assert found["cams"] == tags
        status, heat = fetched(address + f"/cam/{tags[0]}")
        assert status == 200 and max(heat) > 0
        for body in ({"points": [[1, 1, True]], "box": None}, {"points": [], "box": [0, 0, 9.5, 9]}):
            status, thing = fetched(address + "/click", json.dumps(body).encode(), {"X-Review": "1"})
            assert status == 200 and len(thing) == len(held) and {*thing} <= {0, 1}
        for points in ([], [[1, 1]], [[-1, 0, True]], [[1e9, 0, True]], [[0, 0, "yes"]], "all"):
            status, answer = fetched(address + "/click", json.dumps({"points": points}).encode(), {"X-Review": "1"})
            assert status == 422 and "points" in json.loads(answer)["error"]


def test_refine_again_uses_the_survey_of_an_update_that_ran_meanwhile(
    finished: Any, dhr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an update works, the networks from before it stay; then they are opened again."""
    monkeypatch.setattr("dhr.method.survey_fit.contrast", lambda *_: 0.5)  # that of so few photographs is 0
    run = opened_run(finished.out, None, silent)
    mending, names = Mending(run, lambda work: None), [sample.name for sample in run.data.samples]
    free = {one: np.full(read_mask(run.folder.mask(one)).shape, FREE, np.uint8) for one in names}
    tags = {sample.name: sample.tags for sample in run.data.samples}
    before = {name: mending.refine(name, tags[name], free[name]) for name in names[1:]}
    data, store = run.data, run.corrections
    sample, classes = data.samples[0], data.classes.names
    given = tuple(classes[tag] for tag in sample.tags)
    made = Correction("mended", data.digest(sample), given, given, {name: id for id, name in enumerate(classes)})
    mask = np.full_like(read_mask(run.folder.mask(sample.name)), sample.tags[0])
    store.save(sample.name, made, mask, class_palette(data.classes), expected=0)
    assert dhr(["update", "--run", finished.out]).code == 0
    record = json.loads((finished.out / "run.json").read_text())
    (finished.out / "run.json").write_text(json.dumps({**record, "status": "running"}))
    assert np.array_equal(mending.refine(names[1], tags[names[1]], free[names[1]]), before[names[1]])
    (finished.out / "run.json").write_text(json.dumps(record))
    after = {name: mending.refine(name, tags[name], free[name]) for name in names[1:]}
    assert all(np.array_equal(after[name], read_mask(run.folder.mask(name))) for name in names[1:])
    assert any(not np.array_equal(after[name], before[name]) for name in names[1:])
    opened = mending._open()
    assert mending._open() is opened
    identity = {**record["identity"], "settings": {**record["identity"]["settings"], "seed": 7}}
    (finished.out / "run.json").write_text(json.dumps({**record, "identity": identity}))
    (finished.out / "survey.safetensors").touch()
    with pytest.raises(RefusedError, match="settings of this run changed"):
        mending.refine(names[1], tags[names[1]], free[names[1]])
