"""One file by HTTP: with progress, resumed where it stopped, checked by its sha256.

pooch, which fetches the book's texts (`minigpt.data`), begins anew whenever the line is
cut: too dear for gigabytes. Here the rest is asked for, if the server still has the
same file. Chapter: gpt2.
Source: RFC 9110, sections 13 and 14 (conditional requests, ranges).
"""

import re
import time
from pathlib import Path

import requests
from tqdm import tqdm

from minigpt.partfile import UNKNOWN, Part, alone, check

ATTEMPTS = 6  # in a row that bring nothing new
CHUNK = 1 << 13  # bytes that are read at a time, and the most that a cut line costs
BUSY = (408, 429, 500, 502, 503, 504)  # answers that may be others in a moment
HEADERS = {"User-Agent": "minigpt", "Accept-Encoding": "identity"}
PASSING = (
    requests.ConnectionError,
    requests.HTTPError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


def fetch(url, path, *, sha256=None, progress=True, timeout=30.0, wait=1.0):
    """``path``, after the file at ``url`` was brought there if it was not there yet.

    ``sha256`` is the published sum; else that which the server states, as Hugging
    Face's hub does for large files. When the line is cut, or silent for ``timeout``
    seconds, the rest is asked for after ``wait`` seconds, then after twice as many, and
    so on, until `ATTEMPTS` in a row brought nothing.

    Raises ``OSError`` when the file cannot be had or the disk has no room for it; what
    has arrived stays, also after Ctrl-C, and the next call goes on from there. Raises
    ``ValueError`` when the content is not what was published; of that nothing stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.parent):
        if path.exists():
            check(path, sha256)
            return path
        part = Part(path, url, sha256)
        resumed = part.size > 0
        bar = tqdm(desc=path.name, unit="B", unit_scale=True, disable=not progress)
        with requests.Session() as session, bar:
            session.headers.update(HEADERS)
            _receive_all(session, part, bar, timeout, wait)
            if (problem := part.problem()) and resumed:
                part.drop()  # what lay there was damaged
                _receive_all(session, part, bar, timeout, wait)
                problem = part.problem()
        if problem:
            part.drop()
            raise ValueError(problem)
        part.finish()
    return path


def _receive_all(session, part, bar, timeout, wait):
    """Ask for what is missing until a part is the whole."""
    failures, most, answered = 0, part.size, False
    while not part.is_whole():
        error = None
        try:
            with _ask(session, part, timeout) as answer:
                answered = True
                _take(answer, part, bar)
        except requests.RequestException as caught:
            error = caught
        failures = 0 if part.size > most else failures + 1
        most = max(most, part.size)
        if error and not (answered and isinstance(error, PASSING)):
            failures = ATTEMPTS  # no network, or no such address: no need to wait
        if failures == ATTEMPTS:
            raise OSError(_what_to_do(part, error)) from error
        if error:
            pause = wait * 2**failures
            bar.set_postfix_str(f"the line was cut, asking again in {pause:.0f} s")
            time.sleep(pause)


def _ask(session, part, timeout):
    """The answer to a request for what is missing."""
    headers = {}
    if part.can_grow():
        headers["Range"] = f"bytes={part.size}-"
        if not part.origin["sha256"]:
            headers["If-Range"] = part.origin["tag"]  # else send the whole
    return session.get(part.url, headers=headers, stream=True, timeout=timeout)


def _take(answer, part, bar):
    """Write down what an answer brings of the file."""
    status = f"{answer.status_code} {answer.reason}"
    if answer.status_code in BUSY:
        raise requests.HTTPError(status)
    if answer.status_code in (206, 416):
        if not _continues(answer, part):
            part.drop()  # and ask anew
            return
    elif answer.status_code != 200:
        raise OSError(f"{part.url} answered {status!r}: is the address right?")
    elif answer.headers.get("Content-Type", "").startswith("text/html"):
        raise OSError(
            f"{part.url} answered with a web page in place of {part.whole.name}: does "
            "the network ask for a login first?"
        )
    else:
        part.begin(_origin(answer, answer.headers.get("Content-Length")))
    part.check_room()
    _show(part, bar)
    with open(part.path, "ab") as file:
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if part.origin["size"] is None:  # the server did not tell: this was all
        part.origin = part.origin | {"size": part.size}


def _show(part, bar):
    """Let the bar begin at what has arrived already."""
    bar.reset(part.origin["size"])
    bar.set_postfix_str("", refresh=False)
    bar.initial = bar.n = part.size


def _origin(answer, size):
    """Which file an answer brings. The hub states the sha256 of a large file where it
    sends us on to another server, whose own tags are something else."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return UNKNOWN  # its sizes and ranges count other bytes
    hops = [hop.headers.get("X-Linked-Etag", "") for hop in [*answer.history, answer]]
    sums = [found[1] for hop in hops if (found := re.match(r'"?([0-9a-f]{64})\b', hop))]
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak one does not vouch for every byte
        tag = answer.headers.get("Last-Modified")
    size = int(size) if size and size.isdecimal() else None
    return {"sha256": sums[0] if sums else None, "tag": tag, "size": size}


def _continues(answer, part):
    """Whether an answer is the rest of the same file, from the right byte on."""
    span = answer.headers.get("Content-Range", "")
    span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", span)
    if answer.status_code != 206 or not span or int(span[1]) != part.size:
        return False
    now, then = _origin(answer, span[2]), part.origin
    key = "sha256" if now["sha256"] and then["sha256"] else "tag"
    same_size = None in (now["size"], then["size"]) or now["size"] == then["size"]
    return same_size and now[key] is not None and now[key] == then[key]


def _what_to_do(part, error):
    """The sentence for a file that cannot be had at present."""
    name = type(error).__name__ if error else "its answers do not fit together"
    name = str(error) if isinstance(error, requests.HTTPError) else name
    kept = f"{part.size:,} bytes have arrived and are kept: try again to go on. "
    return (
        f"{part.whole.name} could not be fetched from {part.url} ({name}). "
        f"{kept if part.can_grow() else ''}Without a network: get that file elsewhere "
        f"and put it at {part.whole}"
    )
