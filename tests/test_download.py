"""Downloads: whole, resumed, checked; from a server that cuts, changes and lies."""

import gzip
import signal
import subprocess
import sys

import pytest
from file_server import CONTENT, begin, get, part, serve, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import download
from minigpt.download import ATTEMPTS, CHUNK


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # nothing between us and ourselves
    with serve(content=CONTENT) as site:
        yield site


# ---------------------------------------------------------------- whole and resumed


def test_a_file_is_fetched_once(site, tmp_path, capsys):
    assert get(site, tmp_path) == CONTENT
    assert get(site, tmp_path) == CONTENT
    assert site.asked == [("/file", None, None)]
    assert capsys.readouterr() == ("", "")


def test_progress(site, tmp_path, capsys):
    site.moods[:] = ["cut 98304"]
    get(site, tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "file: " in shown and "307k/307k" in shown
    assert "the line was cut, asking again" in shown
    assert " 32%" in shown  # where it went on


def test_what_is_missing_is_asked_for(site, tmp_path):
    site.moods[:] = ["cut 98304", "cut 65536", "cut 0"]
    assert get(site, tmp_path) == CONTENT
    spans = [None, "bytes=98304-", "bytes=163840-", "bytes=163840-"]
    assert [span for _, span, _ in site.asked] == spans
    assert [tag for *_, tag in site.asked] == [None, *['"one"'] * 3]


def test_a_line_that_is_cut_again_and_again_but_brings_something(site, tmp_path):
    site.moods[:] = ["cut 16384"] * 18
    assert get(site, tmp_path) == CONTENT
    assert len(site.asked) == 19


def test_a_later_program_goes_on(site, tmp_path):
    sentence = begin(site, tmp_path, "cut 98304")
    assert "98,304 bytes have arrived" in sentence
    assert "file could not be fetched from http://127.0.0.1" in sentence
    assert "(503 Service Unavailable)" in sentence
    assert f"put it at {tmp_path / 'model' / 'file'}" in sentence
    assert part(tmp_path) == CONTENT[:98304]
    assert get(site, tmp_path) == CONTENT
    assert site.asked == [("/file", "bytes=98304-", '"one"')]


def test_ctrl_c_keeps_the_part(site, tmp_path):
    site.moods[:] = ["stall 200000"]
    url, path = f"{site.address}/file", tmp_path / "model" / "file"
    program = f"from minigpt.download import fetch; fetch({url!r}, {str(path)!r})"
    run = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    wait_for(lambda: part(tmp_path))
    run.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in run.communicate(timeout=20)[1]
    arrived = part(tmp_path)
    assert CONTENT.startswith(arrived) and len(arrived) % CHUNK == 0
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1][1] == f"bytes={len(arrived)}-"


def test_a_whole_part_needs_no_network(site, tmp_path):
    begin(site, tmp_path, "cut 98304")
    (tmp_path / "model" / "file.part").write_bytes(CONTENT)  # killed before the end
    assert get(site, tmp_path) == CONTENT
    assert site.asked == []


def test_a_silent_line_is_given_up(site, tmp_path):
    site.moods[:] = ["stall 200000"]
    assert get(site, tmp_path, timeout=0.3) == CONTENT
    assert site.stalled == 1  # it did not end by itself
    assert len(site.asked) == 2 and site.asked[1][1]


def test_a_server_that_does_not_tell_the_size(site, tmp_path):
    site.chunked = True
    site.moods[:] = ["cut 98304"]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1][1] == "bytes=98304-"


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_a_date_will_do_where_there_is_no_tag_for_the_bytes(site, tmp_path, tag):
    site.tag, site.date = tag, "Sat, 21 Nov 2026 04:00:00 GMT"
    site.moods[:] = ["cut 98304"]
    assert get(site, tmp_path) == CONTENT
    assert site.asked[1][1:] == ("bytes=98304-", site.date)


# ---------------------------------------------------------------- begun anew


CHANGES = {
    "no ranges": {"ranges": False},
    "another part": {"shifted": True},
    "no tag": {"tag": None, "conditions": False},
    "a weak tag": {"tag": 'W/"one"', "conditions": False},
    "another tag": {"content": CONTENT[::-1], "tag": '"two"'},
    "another tag, unasked": {"content": CONTENT[::-1], "tag": '"two"', "conditions": 0},
    "a shorter file": {"content": CONTENT[:50000]},
    "a longer file": {"content": CONTENT + b"more"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_part_that_cannot_be_continued_is_begun_anew(site, tmp_path, change):
    begin(site, tmp_path, "cut 98304")
    vars(site).update(CHANGES[change])
    assert get(site, tmp_path) == site.content
    spans = [span for _, span, _ in site.asked]
    assert spans[0] == "bytes=98304-" and spans[1:] in ([], [None])


def test_a_server_without_ranges_that_cuts_is_given_up(site, tmp_path):
    site.ranges = False
    site.moods[:] = ["cut 98304", "cut 8192"] * 25
    with pytest.raises(OSError, match=r"file could not be fetched .*\(\w+Error\)"):
        get(site, tmp_path)
    assert len(site.asked) == ATTEMPTS + 1


def test_a_compressed_answer_is_not_continued(site, tmp_path):
    site.content, site.encoding = gzip.compress(CONTENT, mtime=0), "gzip"
    site.moods[:] = ["cut 500"]
    assert get(site, tmp_path) == CONTENT
    assert [span for _, span, _ in site.asked] == [None, None]


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"tag": null}', "\xff"])
def test_a_part_of_who_knows_what_is_begun_anew(site, tmp_path, note):
    begin(site, tmp_path, "cut 98304")
    (tmp_path / "model" / "file.part.json").write_text(note, "latin-1")
    assert get(site, tmp_path) == CONTENT
    assert site.asked == [("/file", None, None)]


MOODS = ["", "404", "503", "416", "cut 0", "cut 5", "cut 7 ranges", "cut 6 chunked"]
MOODS += ["ranges", "shifted", "conditions", "cut 9 conditions", "cut 3 shifted"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.sampled_from(MOODS), max_size=4), max_size=6))
def test_files_are_never_glued_together(tmp_path_factory, attempts):
    """Each attempt meets another version of the file, and a server in such moods."""
    folder = tmp_path_factory.mktemp("glue")
    with pytest.MonkeyPatch.context() as patch, serve() as site:
        patch.setattr(download, "CHUNK", 1)
        for version, moods in enumerate([*attempts, []]):
            site.content = bytes([version]) * (20 + version % 2)
            site.tag, site.moods[:] = f'"{version}"', moods
            try:
                content = get(site, folder)
            except OSError:
                assert not (folder / "model" / "file").exists()
                continue
            assert content == site.content
            (folder / "model" / "file").unlink()
        assert content == site.content
