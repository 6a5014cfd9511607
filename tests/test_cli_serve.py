"""`minigpt serve` as a program."""

import re
import signal

import pytest
from cli_runs import finished, run, sentence
from cli_runs import start as start_program
from server_runs import babbler, httpx, post, raw, read_until

import minigpt as mg

LONG = {"prompt": "a", "strategy": "sample", "max_tokens": 10_000}


class Program:
    """The program, its address, and what it has said so far."""

    def __init__(self, *args):
        self.process = start_program("serve", "--port", 0, *args)
        self.said = self.process.stdout.readline().decode()
        self.url = re.match(r"(http://\S+) answers; Ctrl-C ends it\n", self.said)[1]

    def __enter__(self):
        self.process.__enter__()
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.__exit__(*error)

    def end(self, number=signal.SIGINT):
        """Send a signal; what the program then says, and its exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()


def generate(url, prompt="Once", **more):
    body = {"prompt": prompt, "max_tokens": 3} | more
    return httpx.post(url + "/api/generate", json=body, trust_env=False, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_answers_and_ends_quietly(number):
    with Program() as program:
        assert program.process.stdout.readline() == b"tales is loaded\n"
        assert generate(program.url).json()["prompt"] == "Once"
        assert program.end(number) == (130, "", "\nending\n")


def test_streams_end_before_it_does(tmp_path):
    params, cfg, tok = babbler()
    mg.save(tmp_path / "babbler", params, cfg, tok)
    with Program("--model", tmp_path / "babbler") as program:
        assert program.process.stdout.readline() == b"babbler is loaded\n"
        with raw(program) as connection:
            connection.sendall(post("/api/stream", LONG))
            read_until(connection, b"data: ")
            program.process.send_signal(signal.SIGINT)
            read_until(connection, b'event: done\ndata: {"reason": "closed"}\n\n')
        _, err = program.process.communicate(timeout=30)
        assert (program.process.returncode, err) == (130, b"\nending\n")


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    params, cfg, tok = babbler()
    mg.save(tmp_path / "babbler", params, cfg, tok)
    with Program("--model", tmp_path / "babbler") as program:
        program.process.stdout.readline()
        with raw(program) as connection:
            connection.sendall(post("/api/stream", LONG))
            read_until(connection, b"data: ")
            program.process.send_signal(signal.SIGINT)
            assert program.process.stderr.readline() == b"\n"
            assert program.process.stderr.readline() == b"ending\n"
            code, _, err = program.end()
            assert code == 130 and "Traceback" not in err
            got = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert b"event: done" not in got


def test_its_options_reach_the_server(tmp_path):
    args = ["--cors", "https://a.example", "--allow-host", "gpt.example"]
    params, cfg, tok = babbler()
    mg.save(tmp_path / "babbler", params, cfg, tok)
    args += ["--model", tmp_path / "babbler", "--timeout", 0.2]
    with Program(*args) as program:
        program.process.stdout.readline()
        about = {"host": "gpt.example", "origin": "https://a.example"}
        with httpx.Client(base_url=program.url, trust_env=False) as client:
            answer = client.get("/health", headers=about)
            allowed = answer.headers["access-control-allow-origin"]
            assert (answer.status_code, allowed) == (200, "https://a.example")
        answer = generate(program.url, strategy="sample", max_tokens=10_000)
        assert answer.headers["finish-reason"] == "time"


def test_a_taken_port_gets_a_sentence():
    with Program() as program:
        port = program.url.rpartition(":")[2]
        code, out, err = finished("serve", "--port", port)
    assert code == 1 and out == b""
    assert re.fullmatch(rb"Error: the port \d+ of 127.0.0.1 is taken.*\n", err)


def test_mistakes_get_a_sentence(tmp_path):
    assert "there is no model 'nowhere'" in sentence("serve", "--model", "nowhere")
    cors = ("serve", "--port", 0, "--cors", "a.example")
    assert "an origin is like https://example.org" in sentence(*cors)
    assert "'beads' is not one of" in sentence("serve", "--runtime", "beads", code=2)
    assert "65536 is not in the range" in sentence("serve", "--port", 65536, code=2)


def test_a_model_that_cannot_be_loaded_gets_a_sentence(tmp_path):
    cfg = mg.Config(vocab_size=5, n_ctx=8, n_embd=4, n_layer=1, n_head=1)
    mg.save(tmp_path / "mute", mg.init(cfg), cfg)
    code, out, err = finished("serve", "--port", 0, "--model", tmp_path / "mute")
    assert code == 1 and b"answers" in out
    assert err.startswith(b"Error: there is no tokenizer beside the weights")
    assert err.count(b"\n") == 1


def test_help_names_the_defaults():
    said = " ".join(run("serve", "--help").stdout.split())
    for default in ("tales", "127.0.0.1", "3000", "256", "60.0"):
        assert f"[default: {default}" in said
    assert "file, else numpy]" in said


def test_a_library_that_a_runtime_lacks_gets_a_sentence(monkeypatch, tmp_path):
    def load(*args):
        raise ModuleNotFoundError("onnxruntime is not here: pip install it")

    monkeypatch.setattr("minigpt.server.served.load", load)
    graph = tmp_path / "a.onnx"
    graph.touch()
    said = sentence("serve", "--port", 0, "--model", graph)
    assert said == "onnxruntime is not here: pip install it"
