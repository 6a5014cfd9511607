"""Who asks a server, and what: so many threads that post, each as soon as it has its
last answer. Requests are drawn with a seed, so that each has one right answer."""

import contextlib
import http.client
import json
import threading
import time

import numpy as np
from rounds import serve

import minigpt as mg
from minigpt.streaming import TextStream, first_ids

# of each model: tokens of an answer, how many different requests there are, and how
# many each client makes, by the number of clients
LOADS = {"tales": (50, 64, (20, 10, 3)), "gpt2": (16, 8, (2, 1, 1))}
QUICK = {"n_layer": 1, "n_embd": 32, "n_head": 2, "n_ctx": 64, "vocab_size": 300}
NAMES = "Mia Tom Ben Anna Lily Max Sue Jack".split()


# ---------------------------------------------------------------- what is asked


def model(name, quick):
    """``(params, cfg, tokenizer)``; the random one spells a token as a character."""
    if name == "tales":
        return mg.load(name)
    cfg = mg.Config(**QUICK) if quick else mg.Config.preset(name)
    tok = mg.CharTokenizer(map(chr, range(0x100, 0x100 + cfg.vocab_size)))
    return mg.init(cfg), cfg, tok


def bodies(name, quick):
    """The different requests of a model."""
    tokens, many, _ = load(name, quick)
    random = np.random.default_rng(0)
    prompts = [f"Once there was a girl called {NAMES[k % 8]}." for k in range(many)]
    if name != "tales":
        letters = random.integers(0x100, 0x100 + 300, (many, 16))
        prompts = ["".join(map(chr, row)) for row in letters]
    same = {"max_tokens": tokens, "strategy": "top-k", "k": 50}
    return [{"prompt": p, "seed": k} | same for k, p in enumerate(prompts)]


def load(name, quick):
    return (8, 4, (2, 1)) if quick else LOADS[name]


def answers(name, quick):
    """What each request is to be answered, and of how many tokens."""
    params, cfg, tok = model(name, quick)
    found = []
    for body in bodies(name, quick):
        ids, text = first_ids(tok, body["prompt"]), TextStream(tok)
        settings = {"top_k": body["k"], "seed": body["seed"]}
        stop = () if tok.eot is None else tok.eot
        new = mg.generate(params, ids, cfg, body["max_tokens"], stop=stop, **settings)
        new = new[len(ids) :].tolist()
        text = "".join(map(text.feed, new)) + text.finish()
        found.append({"text": body["prompt"] + text, "tokens": len(new)})
    return found


# ---------------------------------------------------------------- who asks


def clients(_name, _argument):
    """All clients, as threads of a process. A task is ``[url, clients, requests of
    each, bodies, way]`` with a way of "generate" or "stream"."""

    def do(task):
        url, count, each, bodies, way = task
        log, failed, ready = [], [], threading.Barrier(count + 1)

        def client(first):
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            with contextlib.closing(connection):
                connection.connect()
                ready.wait()
                for k in range(each):
                    which = (first + k * count) % len(bodies)
                    try:
                        answer = WAYS[way](connection, bodies[which])
                    except Exception as error:  # no figure may hide it
                        failed.append(error)
                    else:
                        log.append(answer | {"body": which})

        threads = [threading.Thread(target=client, args=(k,)) for k in range(count)]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        if failed:
            raise RuntimeError(f"{len(failed)} requests got no answer: {failed[0]}")
        return {"seconds": seconds, "answers": log}

    serve({}, do)


def ask(connection, path, body):
    headers = {"content-type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{response.status} {response.read().decode()}")
    return response


def generate(connection, body):
    """Seconds until the whole answer is there, and its text."""
    began = time.perf_counter()
    answer = json.loads(ask(connection, "/api/generate", body).read())
    return {"seconds": time.perf_counter() - began, "text": answer["generated_text"]}


def stream(connection, body):
    """Seconds until the first token is there, and until the last, and the text."""
    began, first, text = time.perf_counter(), None, body["prompt"]
    response = ask(connection, "/api/stream", body)
    for line in response:
        first = first or time.perf_counter() - began
        if line.startswith(b'data: {"id"'):
            text += json.loads(line[6:])["token"]
    return {"seconds": time.perf_counter() - began, "text": text, "first": first}


WAYS = {"generate": generate, "stream": stream}
