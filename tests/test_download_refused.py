"""Downloads that cannot be had, or must not be kept: each gets a sentence."""

import hashlib
import shutil
import socket

import pytest
from file_server import CONTENT, begin, get, part, serve

from minigpt import download, partfile
from minigpt.download import ATTEMPTS, fetch

SUM = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
BOTH = rf"its sha256 is {SUM} and should be {OTHER}"


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(content=CONTENT) as site:
        yield site


# ---------------------------------------------------------------- sums


def test_the_published_sum_is_checked(site, tmp_path):
    assert get(site, tmp_path, sha256=SUM) == CONTENT


def test_a_file_that_is_not_the_published_one_is_not_kept(site, tmp_path):
    with pytest.raises(ValueError, match=f"not the published file: {BOTH}. It was not"):
        get(site, tmp_path, sha256=OTHER)
    assert [*(tmp_path / "model").iterdir()] == []
    assert len(site.asked) == 1


def test_the_sum_that_the_hub_states_is_checked(site, tmp_path):
    site.linked, site.tag = f'"{SUM}"', f'"{OTHER}"'  # the tag there is another sum
    site.moods[:] = ["cut 98304"]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1] == ("/elsewhere/file", "bytes=98304-", None)
    site.linked = f'"{OTHER}"'
    (tmp_path / "model" / "file").unlink()
    with pytest.raises(ValueError, match=f"not the published file: {BOTH}. It was not"):
        get(site, tmp_path)
    assert [*(tmp_path / "model").iterdir()] == []


def test_the_hub_may_send_us_on_to_servers_with_other_tags(site, tmp_path):
    site.linked = f'"{SUM}"'
    begin(site, tmp_path, "cut 98304")
    site.tag = '"two"'
    assert get(site, tmp_path) == CONTENT
    assert [span for _, span, _ in site.asked] == ["bytes=98304-"]


def test_a_server_that_no_longer_states_the_sum(site, tmp_path):
    site.linked, site.tag = f'"{SUM}"', None
    begin(site, tmp_path, "cut 98304")
    site.linked, site.content = None, CONTENT[::-1]
    assert get(site, tmp_path) == site.content


def test_another_file_with_another_stated_sum_is_begun_anew(site, tmp_path):
    site.linked = f'"{SUM}"'
    begin(site, tmp_path, "cut 98304")
    site.content = CONTENT[::-1]
    site.linked = f'"{hashlib.sha256(site.content).hexdigest()}"'
    assert get(site, tmp_path) == site.content


def test_a_stated_sum_that_is_not_the_published_one_is_refused_at_once(site, tmp_path):
    begin(site, tmp_path, "cut 98304")
    site.linked, site.ranges = f'"{SUM}"', False
    with pytest.raises(ValueError, match=f"/file is not the published file: {BOTH}"):
        get(site, tmp_path, sha256=OTHER)
    assert part(tmp_path) == CONTENT[:98304]  # of the right file, perhaps


def test_a_damaged_part_costs_a_second_download(site, tmp_path):
    begin(site, tmp_path, "cut 98304")
    (tmp_path / "model" / "file.part").write_bytes(bytes(98304))
    assert get(site, tmp_path, sha256=SUM) == CONTENT
    assert [span for _, span, _ in site.asked] == ["bytes=98304-", None]


def test_a_part_of_who_knows_what_does_not(site, tmp_path):
    begin(site, tmp_path, "cut 98304")
    (tmp_path / "model" / "file.part.json").unlink()
    with pytest.raises(ValueError, match=BOTH):
        get(site, tmp_path, sha256=OTHER)
    assert len(site.asked) == 1


def test_a_file_that_is_there_is_checked_and_not_replaced(site, tmp_path):
    get(site, tmp_path)
    with pytest.raises(ValueError, match=rf"file is not .*: {BOTH}. Remove it"):
        get(site, tmp_path, sha256=OTHER)
    assert get(site, tmp_path, sha256=SUM) == CONTENT
    assert len(site.asked) == 1


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("status, words", [(404, "Not Found"), (403, "Forbidden")])
def test_an_address_that_is_wrong(site, tmp_path, status, words):
    site.moods[:] = [status]
    with pytest.raises(OSError, match=rf"answered '{status} {words}': is the address"):
        get(site, tmp_path)
    assert len(site.asked) == 1


def test_a_server_that_is_busy_is_asked_again(site, tmp_path):
    site.moods[:] = [503, 429, 500]
    assert get(site, tmp_path) == CONTENT
    (tmp_path / "model" / "file").unlink()
    site.moods[:] = [502] * 50
    site.asked.clear()
    with pytest.raises(OSError, match=r"\(502 Bad Gateway\)\. Without a network: get"):
        get(site, tmp_path)
    assert len(site.asked) == ATTEMPTS


@pytest.mark.parametrize("status", [206, 416])
def test_a_server_that_answers_with_parts_unasked(site, tmp_path, status):
    site.moods[:] = [status] * 50
    with pytest.raises(OSError, match=r"\(its answers do not fit together\)"):
        get(site, tmp_path)
    assert len(site.asked) == ATTEMPTS


def test_the_pauses_grow(site, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    site.moods[:] = ["cut 98304", 503, 503, "cut 8192", 503]
    get(site, tmp_path, wait=1)
    assert pauses == [1, 2, 4, 1, 2]


def test_no_network_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download.time, "sleep", None)
    with socket.socket() as closed:  # a port that nobody listens at
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
    with pytest.raises(OSError, match=rf"from {url} \(ConnectionError\)\. Without"):
        fetch(url, tmp_path / "file", progress=False)
    with pytest.raises(OSError, match=r"from no/address \(MissingSchema\)"):
        fetch("no/address", tmp_path / "file", progress=False)


def test_the_page_of_a_login_is_not_the_file(site, tmp_path):
    begin(site, tmp_path, "cut 98304")
    site.kind, site.ranges = "text/html; charset=utf-8", False
    with pytest.raises(OSError, match="with a web page in place of file: does the net"):
        get(site, tmp_path)
    assert part(tmp_path) == CONTENT[:98304]


# ---------------------------------------------------------------- the disk


def test_a_disk_without_room(site, tmp_path, monkeypatch):
    begin(site, tmp_path, "cut 98304")
    usage = shutil.disk_usage(tmp_path)
    missing = len(CONTENT) - 98304
    too_little = usage._replace(free=missing - 1)
    monkeypatch.setattr(partfile.shutil, "disk_usage", lambda folder: too_little)
    with pytest.raises(OSError, match=r"file needs 0\.00 GB more, and its disk"):
        get(site, tmp_path)
    assert part(tmp_path) == CONTENT[:98304]
    enough = usage._replace(free=missing)
    monkeypatch.setattr(partfile.shutil, "disk_usage", lambda folder: enough)
    assert get(site, tmp_path) == CONTENT


@pytest.mark.skipif(partfile.fcntl is None, reason="no locks on this system")
def test_two_at_a_time(site, tmp_path):
    (tmp_path / "model").mkdir()
    with partfile.alone(tmp_path / "model"):
        with pytest.raises(OSError, match=r"another download into .* is under way"):
            get(site, tmp_path)
    assert site.asked == []
    assert get(site, tmp_path) == CONTENT


def test_a_system_without_locks(site, tmp_path, monkeypatch):
    monkeypatch.setattr(partfile, "fcntl", None)
    assert get(site, tmp_path) == CONTENT
