"""What a person decides: stored as it was sent, and refused if it cannot be."""

import gzip
import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhr.data.images import read_mask
from dhr.data.samples import VOID, ClassTable
from dhr.parsing import Fields
from dhr.review.answers import RefusedError
from dhr.review.decisions import Wish

CLASSES = ("sky", "cat", "dog", "cup")
UNSEEN = {"state": "mended", "revision": 0}


def mended(page: Any, number: int = 0) -> np.ndarray:
    mask = page.drawn(number).copy()
    mask[:3, :5] = VOID
    mask[5:9, 2:9] = 3
    return mask


@pytest.mark.parametrize("packed", [False, True])
def test_a_mended_mask_is_stored_pixel_by_pixel(page: Any, packed: bool) -> None:
    mask = mended(page)
    body, headers = mask.tobytes(), {}
    if packed:
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    answer = page.post("api/photographs/0/save", content=body, headers=headers, decision=UNSEEN)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "mended" and answer.json()["revision"] == 1
    assert answer.json()["counts"]["mended"] == 1 and answer.json()["counts"]["undecided"] == 3
    np.testing.assert_array_equal(page.mask(0), mask)
    np.testing.assert_array_equal(page.stored(0), mask)  # other programs see it at once
    np.testing.assert_array_equal(page.mask(0, "machine"), page.drawn(0))
    record = page.desk.photographs.corrections.read("p0")
    assert record.state == "mended" and record.tags == ("cat", "cup") and dict(record.labels)["cup"] == 3


def test_decisions_count_and_are_withdrawn(page: Any) -> None:
    for state in ("accepted", "rejected", "skipped"):
        answer = page.post("api/photographs/2/decide", json={"state": state, "revision": page.revision(2)})
        assert answer.status_code == 200 and answer.json()["counts"][state] == 1, answer.text
        np.testing.assert_array_equal(page.mask(2), page.drawn(2))
    answer = page.post("api/photographs/2/decide", json={"state": "undecided", "revision": page.revision(2)})
    assert answer.json()["counts"] == page.get("api/session").json()["counts"]
    assert answer.json()["counts"]["undecided"] == 4 and answer.json()["state"] == "undecided"


@pytest.mark.parametrize("between", [(), ("rejected",), ("accepted",), ("skipped", "accepted")])
def test_the_mask_that_a_photograph_had_when_it_was_opened_is_kept(page: Any, between: tuple[str, ...]) -> None:
    """Strokes of one drawing replace each other; what was there before the drawing began stays in gone/."""

    def draw(mask: np.ndarray, revision: int) -> int:
        decision = {"state": "mended", "revision": revision}
        answer = page.post("api/photographs/0/save", content=mask.tobytes(), decision=decision)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["revision"])

    first, second = mended(page), np.zeros_like(mended(page))
    assert draw(second, draw(first, 0)) == 2
    assert not (page.out / "gone").exists()
    revision = page.revision(0)  # the page is loaded again
    for state in between:  # these leave the mask as it is
        answer = page.post("api/photographs/0/decide", json={"state": state, "revision": revision})
        revision = answer.json()["revision"]
    draw(first, draw(np.full_like(first, VOID), revision))
    (kept,) = (page.out / "gone").rglob("*.png")
    np.testing.assert_array_equal(read_mask(kept), second)


def test_withdrawing_brings_the_machines_mask_back(page: Any) -> None:
    page.post("api/photographs/0/save", content=mended(page).tobytes(), decision=UNSEEN)
    page.post("api/photographs/0/decide", json={"state": "undecided", "revision": 1})
    np.testing.assert_array_equal(page.mask(0), page.drawn(0))
    np.testing.assert_array_equal(page.stored(0), page.drawn(0))


def test_tags_change_with_a_decision(page: Any) -> None:
    mask = mended(page)
    mask[mask == 1] = 2  # the cat is a dog
    refused = page.post("api/photographs/0/save", content=mask.tobytes(), decision=UNSEEN)
    assert refused.status_code == 422 and "dog" in refused.json()["error"]
    saved = page.post("api/photographs/0/save", content=mask.tobytes(), decision={**UNSEEN, "tags": [3, 2, 2]})
    assert saved.status_code == 200
    found = page.get("api/photographs/0").json()
    assert found["tags"] == [2, 3] and found["given"] == [1, 3]


def test_two_pages_do_not_overwrite_each_other(page: Any) -> None:
    assert page.post("api/photographs/0/save", content=mended(page).tobytes(), decision=UNSEEN).status_code == 200
    other = np.zeros_like(mended(page))
    late = page.post("api/photographs/0/save", content=other.tobytes(), decision=UNSEEN)
    assert late.status_code == 409 and late.json()["revision"] == 1
    for state in ("accepted", "undecided", "rejected"):
        assert page.post("api/photographs/0/decide", json={"state": state, "revision": 0}).status_code == 409
    np.testing.assert_array_equal(page.mask(0), mended(page))


def test_a_decision_of_another_program_is_seen(page: Any) -> None:
    """Another page of the same run saves; this one shows it when the photograph is opened."""
    other = type(page.desk).of(page.desk.photographs.run)
    other.photographs.read(lambda step: None)
    from dhr.review.decisions import Wish, decide

    decide(other.photographs, 1, Wish("rejected", 0, None))
    other.lanes.close()
    assert page.get("api/photographs/1").json()["state"] == "rejected"
    assert page.get("api/session").json()["counts"]["rejected"] == 1


@pytest.mark.parametrize(("size", "status"), [(0, 422), (24 * 32 - 1, 422), (24 * 32 + 1, 413), (10_000_000, 413)])
@pytest.mark.parametrize("packed", [False, True])
def test_bodies_of_another_size_are_refused(same_page: Any, size: int, status: int, packed: bool) -> None:
    body, headers = bytes(size), {}
    if packed:  # ten megabytes of zeros are ten kilobytes
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    answer = same_page.post("api/photographs/0/save", content=body, headers=headers, decision=UNSEEN)
    assert answer.status_code == status and answer.json()["error"].startswith("expected")
    assert same_page.revision(0) == 0


_ZIPPED = gzip.compress(bytes(768))  # the time is in it, so it names no test: pytest's processes would differ


@pytest.mark.parametrize(
    "body", [b"", b"no gzip", _ZIPPED[:-3], _ZIPPED + b"x"], ids=["empty", "text", "cut", "longer"]
)
def test_damaged_gzip_is_refused(same_page: Any, body: bytes) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = same_page.post("api/photographs/0/save", content=body, headers=headers, decision=UNSEEN)
    assert answer.status_code == 422 and "gzip" in answer.json()["error"]
    answer = same_page.post("api/photographs/0/save", content=body, headers={"Content-Encoding": "br"}, decision=UNSEEN)
    assert answer.status_code == 415


@pytest.mark.parametrize("value", [4, 100, 254])
def test_numbers_that_are_no_class_are_refused(same_page: Any, value: int) -> None:
    mask = same_page.drawn(0).copy()
    mask[3, 3] = value
    answer = same_page.post("api/photographs/0/save", content=mask.tobytes(), decision=UNSEEN)
    assert answer.status_code == 422 and str(value) in answer.json()["error"]


@pytest.mark.parametrize(
    "decision",
    [
        "", "{", "[]", "null", "1", '{"state":"mended"}', '{"state":"mended","revision":-1}',
        '{"state":"mended","revision":1e99}', '{"state":"mended","revision":NaN}',
        '{"state":"mended","revision":true}', '{"state":"rejected","revision":0}', '{"state":"mended","revision":0.5}',
        '{"state":"mended","revision":0,"tags":[0]}', '{"state":"mended","revision":0,"tags":[4]}',
        '{"state":"mended","revision":0,"tags":"cat"}', '{"state":"mended","revision":0,"tags":[null]}',
        '{"state":"mended","revision":0,"revision":0}', "[" * 5000, '{"state":"mend\xe9d","revision":0}',
    ],
)  # fmt: skip
def test_decisions_that_cannot_be_read_are_refused(same_page: Any, decision: str) -> None:
    headers = {"X-Decision": decision.encode("latin-1")}
    answer = same_page.post("api/photographs/0/save", content=same_page.drawn(0).tobytes(), headers=headers)
    assert answer.status_code == 422 and "\n" not in answer.json()["error"]
    assert same_page.revision(0) == 0


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 3), st.sampled_from(["accepted", "rejected", "skipped", "undecided"]), st.sets(st.integers(1, 3)),
    st.booleans(),
)  # fmt: skip
def test_counts_follow_any_decisions(page: Any, number: int, state: str, tags: set[int], stale: bool) -> None:
    before = page.revision(number)
    body = {"state": state, "revision": before + stale, "tags": sorted(tags)}
    answer = page.post(f"api/photographs/{number}/decide", json=body)
    assert answer.status_code in ((409, 422) if stale else (200, 422)), answer.text
    states = [page.get(f"api/photographs/{one}").json()["state"] for one in range(4)]
    counts = page.get("api/session").json()["counts"]
    assert counts == {"all": 4, **{one: states.count(one) for one in counts if one != "all"}}
    json.dumps(counts)


def test_refine_again_needs_a_number_for_free_pixels(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 255 classes, the number of free pixels in a held map is the id of a class."""
    assert page.get("api/session").json()["tools"]["refine"]
    names = (*page.classes, *(f"class {number}" for number in range(251)))
    monkeypatch.setattr(page.desk.photographs, "classes", ClassTable(names, True))
    monkeypatch.setattr(page.desk.photographs.run.data, "classes", ClassTable(names, True))
    assert not page.desk.mending.tools["refine"] and not page.get("api/session").json()["tools"]["refine"]
    answer = page.post("api/photographs/0/refine", content=page.drawn(0).tobytes(), decision={"tags": [1]})
    assert answer.status_code == 409 and "up to 254 classes, this run has 255" in answer.json()["error"]


def test_clicks_need_a_network_for_them(page: Any) -> None:
    answer = page.post("api/photographs/0/click", json={"points": [[1, 1, True]]})
    assert answer.status_code == 409 and "boundary.kind sam" in answer.json()["error"]


@pytest.mark.parametrize("state, refused", [("rejected", False), ("skipped", False), ("accepted", True)])
def test_only_a_mask_needs_tags_where_there_is_no_background(
    state: str, refused: bool, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = page.desk.photographs
    monkeypatch.setattr(photographs, "classes", ClassTable(CLASSES, False))
    fields = Fields({"state": state, "revision": 0, "tags": []})
    with pytest.raises(RefusedError, match="at least one class") if refused else nullcontext():
        assert Wish.parse(fields, photographs, (state,)).tags == ()


def test_a_damaged_record_is_withdrawn_from_the_page(page: Any) -> None:
    """The machine's mask returns, nothing that a person made is lost, and stale pages cannot overwrite what follows."""
    page.post("api/photographs/0/save", content=mended(page).tobytes(), decision=UNSEEN)
    record = page.out / "corrections" / "items" / "p0.json"
    record.write_text("{" + record.read_text())
    found = page.get("api/photographs/0").json()
    assert (found["state"], found["revision"], found["problem"]) == ("undecided", 0, "")
    assert "is damaged" in found["damaged"] and "\n" not in found["damaged"]
    entry = next(one for one in page.get("api/queue").json()["entries"] if one["id"] == 0)
    assert entry["reason"] == "the record of its decision is damaged"
    assert page.get("api/photographs/0/image").status_code == 200
    for state in ("accepted", "rejected", "skipped"):
        answer = page.post("api/photographs/0/decide", json={"state": state, "revision": 0})
        assert answer.status_code == 409 and "is damaged" in answer.json()["error"]
    assert page.post("api/photographs/0/save", content=bytes(768), decision=UNSEEN).status_code == 409
    answer = page.post("api/photographs/0/decide", json={"state": "undecided", "revision": 0})
    assert answer.status_code == 200 and answer.json()["counts"]["undecided"] == 4
    np.testing.assert_array_equal(page.stored(0), page.drawn(0))
    np.testing.assert_array_equal(read_mask(page.out / "gone" / "corrections" / "masks" / "p0.png"), mended(page))
    assert (page.out / "gone" / "corrections" / "items" / "p0.json").read_text().startswith("{{")
    assert page.get("api/photographs/0").json()["damaged"] == ""
    assert "damaged" not in page.get("api/queue").text
    again = page.post("api/photographs/0/save", content=mended(page).tobytes(), decision=UNSEEN).json()
    assert again["revision"] > 2  # a page that still shows the old decision has an older one


def test_a_damaged_record_is_seen_when_the_server_starts(page: Any) -> None:
    page.post("api/photographs/0/decide", json={"state": "rejected", "revision": 0})
    (page.out / "corrections" / "items" / "p0.json").write_text("[]")
    other = type(page.desk).of(page.desk.photographs.run)
    other.photographs.read(lambda step: None)
    other.lanes.close()
    assert other.photographs.is_damaged(0) and other.photographs.counts()["undecided"] == 4


@pytest.mark.parametrize("gone", [True, False])
def test_a_photograph_that_is_gone_or_another_can_still_be_decided(page: Any, gone: bool) -> None:
    page.post("api/photographs/0/save", content=mended(page).tobytes(), decision=UNSEEN)
    photograph = Path(page.desk.photographs.samples[0].source)
    if gone:
        photograph.unlink()
    else:
        shutil.copyfile(Path(page.desk.photographs.samples[1].source), photograph)
    assert page.get("api/photographs/0").json()["problem"] and page.get("api/photographs/0/image").status_code == 409
    assert page.post("api/photographs/0/decide", json={"state": "accepted", "revision": 1}).status_code == 409
    for revision, state in enumerate(("rejected", "skipped"), start=1):
        answer = page.post("api/photographs/0/decide", json={"state": state, "revision": revision})
        assert answer.status_code == 200, answer.text
        found = page.get("api/photographs/0").json()
        assert (found["state"], found["outdated"], found["revision"]) == (state, "", revision + 1)
    record = page.desk.photographs.corrections.read("p0")
    assert (record.digest == page.desk.photographs.find(0).item.digest) == gone
    assert page.post("api/photographs/0/decide", json={"state": "undecided", "revision": 3}).status_code == 200
    np.testing.assert_array_equal(page.stored(0), page.drawn(0))
    np.testing.assert_array_equal(read_mask(page.out / "gone" / "corrections" / "masks" / "p0.png"), mended(page))
