"""Fine-tuning: what is learned, what counts, and what stays to the last bit."""

import dataclasses

import numpy as np
import pytest
from small_model import CFG, noisy, same

import minigpt as mg
from minigpt import data, finetune

QUICK = {"steps": 20, "batch_size": 4, "progress": False}


class Letters:
    """A tokenizer of the letters a to k and a blank; 12 ends a text."""

    eot = 12
    letters = "abcdefghijk "

    def encode(self, text):
        return [self.letters.index(c) for c in text]

    def decode(self, ids):
        return "".join(self.letters[i] for i in ids)


TOK = Letters()
TEXTS = ["ab", "cdefg", "a", "hgf ab", "bb"]
LABELS = [2, 0, 1, 1, 2]
EXAMPLES = finetune.labelled(TOK, TEXTS, LABELS)


def with_head(n_labels=3, **settings):
    params = noisy(**settings)
    rng = np.random.default_rng(1)
    head = rng.standard_normal((n_labels, CFG.n_embd))
    return params | {"head": {"weight": head.astype(params["ln_f"]["bias"].dtype)}}


# ---------------------------------------------------------------- labels


def test_a_labelled_text_is_ids_and_label_and_only_the_label_counts():
    assert EXAMPLES[0].ids.tolist() == [12, 0, 1, 2]
    assert EXAMPLES[1].ids.tolist() == [12, 2, 3, 4, 5, 6, 0]
    assert EXAMPLES[0].counts.tolist() == [False, False, True]
    assert all(e.counts.sum() == 1 and e.counts[-1] for e in EXAMPLES)
    assert finetune.labels_of(EXAMPLES).tolist() == LABELS
    cut = finetune.labelled(TOK, TEXTS, LABELS, n_ctx=3)
    assert [e.ids.tolist() for e in cut[:2]] == [[12, 0, 1, 2], [12, 2, 3, 0]]


def test_the_head_is_new_and_the_rest_is_shared():
    params = mg.init(CFG)
    one = finetune.add_head(params, 3)
    assert one["head"]["weight"].shape == (3, CFG.n_embd)
    assert one["head"]["weight"].dtype == np.float32 and "head" not in params
    assert one["wte"]["weight"] is params["wte"]["weight"]
    assert same(one, finetune.add_head(params, 3))
    assert not same(one, finetune.add_head(params, 3, seed=1))
    assert 0.01 < one["head"]["weight"].std() < 0.03


def test_classify_is_the_last_layer_times_the_head():
    params = with_head()
    ids, _, _ = data.padded(EXAMPLES)
    seen = {}
    mg.gpt(params, ids, CFG, tap=seen)
    logits = finetune.classify(params, ids, CFG)
    assert logits.shape == (*ids.shape, 3)
    np.testing.assert_allclose(logits, seen["ln_f"] @ params["head"]["weight"].T)


def test_the_language_model_is_still_there():
    params = with_head()
    ids, _, _ = data.padded(EXAMPLES)
    bare = {name: part for name, part in params.items() if name != "head"}
    np.testing.assert_array_equal(mg.gpt(params, ids, CFG), mg.gpt(bare, ids, CFG))


def losses_alone(params):
    """Each text by itself, unpadded: minus the logarithm of its label's probability."""
    for example in EXAMPLES:
        logits = finetune.classify(params, example.ids[None, :-1], CFG)[0, -1]
        yield np.log(np.exp(logits).sum()) - logits[example.ids[-1]]


def test_a_padded_batch_is_its_texts_one_by_one():
    params = with_head()
    ids, targets, mask = data.padded(EXAMPLES)
    assert len({len(e) for e in EXAMPLES}) > 2
    together = finetune.label_loss(params, ids, targets, CFG, mask=mask)
    alone = np.mean(list(losses_alone(params)))
    assert float(together) == pytest.approx(alone, rel=1e-12)
    ids = np.pad(ids, ((0, 0), (0, 1)), constant_values=5)  # other padding, and more
    targets, mask = (np.pad(a, ((0, 0), (0, 1))) for a in (targets, mask))
    again = finetune.label_loss(params, ids, targets, CFG, mask=mask)
    assert float(again) == pytest.approx(alone, rel=1e-12)


def test_the_gradient_of_the_label_loss():
    ids, targets, mask = data.padded(EXAMPLES)
    mg.check_grads(finetune.label_loss, with_head(), ids, targets, CFG, mask=mask)


def test_the_label_loss_without_a_mask_counts_all():
    params = with_head()
    ids = data.padded(EXAMPLES)[0]
    targets = np.arange(ids.size).reshape(ids.shape) % 3
    logits = finetune.classify(params, ids, CFG)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    right = np.take_along_axis(p, targets[..., None], axis=-1)
    loss = finetune.label_loss(params, ids, targets, CFG)
    assert float(loss) == pytest.approx(-np.log(right).mean(), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_predict_reads_the_last_real_token(batch_size):
    params = with_head()
    p = finetune.predict(params, CFG, EXAMPLES, batch_size)
    assert p.shape == (5, 3)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    nats = -np.log(p[np.arange(5), LABELS])
    np.testing.assert_allclose(nats, list(losses_alone(params)))


def test_predict_does_not_see_the_label():
    params = with_head()
    other = finetune.labelled(TOK, TEXTS, [0, 1, 2, 0, 1])
    one, two = (finetune.predict(params, CFG, e) for e in (EXAMPLES, other))
    np.testing.assert_array_equal(one, two)


def test_accuracy_and_confusion_by_hand():
    said, true = [0, 1, 1, 2, 1, 0], [0, 1, 2, 2, 1, 1]
    assert finetune.accuracy(said, true) == pytest.approx(4 / 6)
    table = finetune.confusion(said, true, 3)
    assert table.tolist() == [[1, 0, 0], [1, 2, 0], [0, 1, 1]]  # rows are the truth
    assert np.trace(table) / table.sum() == pytest.approx(finetune.accuracy(said, true))
    p = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    assert finetune.accuracy(p, [1, 2]) == 0.5
    assert finetune.confusion(p, [1, 2], 4)[2, 0] == 1


def test_a_classifier_is_saved_and_loaded(tmp_path):
    params = finetune.add_head(noisy(), 3)
    mg.save(tmp_path, params, CFG)
    loaded, cfg, _ = mg.load(tmp_path)
    assert cfg == CFG and same(loaded, params)


def test_the_head_goes_before_an_untied_output():
    params = with_head()
    untied = params | {"lm_head": {"weight": np.ones((CFG.vocab_size, CFG.n_embd))}}
    ids = data.padded(EXAMPLES)[0]
    bare, both = (finetune.classify(p, ids, CFG) for p in (params, untied))
    np.testing.assert_array_equal(both, bare)


def test_dropout_reaches_the_label_loss():
    cfg = dataclasses.replace(CFG, dropout=0.5)
    ids, targets, mask = data.padded(EXAMPLES)
    losses = {
        float(finetune.label_loss(with_head(), ids, targets, cfg, mask=mask, rng=rng))
        for rng in map(np.random.default_rng, (0, 1))
    }
    assert len(losses) == 2


def test_a_head_of_another_width_is_refused(tmp_path):
    mg.save(tmp_path, with_head() | {"head": {"weight": np.zeros((3, 5))}}, CFG)
    with pytest.raises(ValueError, match=r"head.weight: expected \(3, 12\)"):
        mg.load(tmp_path)


def test_a_classifier_is_learned():
    texts = [c * n for c in "abcd" for n in range(1, 7)]
    labels = [int("cd".find(t[0]) >= 0) for t in texts]
    examples = finetune.labelled(TOK, texts, labels)
    start = finetune.add_head(mg.init(CFG), 2)
    settings = QUICK | {"steps": 120, "batch_size": 8, "lr": 1e-2}
    tuned = finetune.tune(start, CFG, examples, loss=finetune.label_loss, **settings)
    p = finetune.predict(tuned.params, CFG, examples)
    assert finetune.accuracy(p, labels) == 1.0
    assert tuned.history[-1]["loss"] < 0.1 < 0.5 < tuned.history[0]["loss"]


# ---------------------------------------------------------------- answers


def test_only_the_answer_and_its_end_count():
    (example,) = finetune.answered(TOK, ["ab"], ["cd"])
    assert example.ids.tolist() == [12, 0, 1, 11, 2, 3, 12]
    assert example.counts.tolist() == [False, False, True, True, True, True]
    (whole,) = finetune.answered(TOK, ["ab"], ["cd"], whole=True)
    assert whole.ids.tolist() == example.ids.tolist() and whole.counts.all()


def test_the_answers_loss_is_the_mean_over_the_answers_tokens():
    params = noisy()
    examples = finetune.answered(TOK, ["ab", "c"], ["a", "bcd"])
    total = count = 0
    for example, given in zip(examples, (3, 2), strict=True):
        ids = example.ids[None]
        logits = mg.gpt(params, ids[:, :-1], CFG)[0]
        p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        for t in range(given, len(example)):  # predicted from the position before
            total -= np.log(p[t - 1, example.ids[t]])
            count += 1
    assert count == 3 + 5
    ids, targets, mask = data.padded(examples)
    loss = mg.next_token_loss(params, ids, targets, CFG, mask=mask)
    assert float(loss) == pytest.approx(total / count, rel=1e-12)
    mg.check_grads(mg.next_token_loss, params, ids, targets, CFG, mask=mask)


def test_the_prompt():
    assert finetune.prompt("who?") == "Q: who? A:"
    assert finetune.prompt("who?", "A tale.") == "A tale. Q: who? A:"


def test_answers_are_learned_and_prompts_are_not():
    prompts = ["a", "b", "ac", "bc", "acc", "bcc", "add", "bdd"]
    answers = ["e" if p[0] == "a" else "fg" for p in prompts]
    examples = finetune.answered(TOK, prompts, answers)
    settings = QUICK | {"steps": 150, "batch_size": 8, "lr": 1e-2}
    tuned = finetune.tune(mg.init(CFG), CFG, examples, **settings).params
    said = finetune.reply(tuned, CFG, TOK, prompts)
    assert said == answers and finetune.exact_match(said, answers) == 1.0
    first = mg.gpt(tuned, [[12]], CFG)[0, -1]  # what begins a prompt was never learned
    assert first.argmax() not in (0, 1)
    whole = finetune.answered(TOK, prompts, answers, whole=True)
    tuned = finetune.tune(mg.init(CFG), CFG, whole, **settings).params
    assert mg.gpt(tuned, [[12]], CFG)[0, -1].argmax() in (0, 1)


def test_replies_together_are_replies_alone():
    params = noisy(dtype=np.float32)
    prompts = ["ab", "b", "cd", "abc", "a"]
    together = finetune.reply(params, CFG, TOK, prompts, 5)
    assert together == [finetune.reply(params, CFG, TOK, [p], 5)[0] for p in prompts]


def test_a_reply_ends_with_the_first_end_token(monkeypatch):
    def generate(params, ids, cfg, count, **settings):
        assert settings == {"temperature": 0, "stop": 12} and count == 4
        new = [[11, 3, 12, 12], [11, 0, 1, 2]]
        return np.concatenate([ids, new], axis=1)

    monkeypatch.setattr(finetune, "generate", generate)
    assert finetune.reply(None, CFG, TOK, ["ab", "cd"], 4) == ["d", "abc"]


def test_exact_match_is_letter_by_letter():
    assert finetune.exact_match(["a ", "a\0", "A"], ["a", "a", "a"]) == 0
    with pytest.raises(ValueError, match="1 answers and 2 expected"):
        finetune.exact_match(["a"], ["a", "b"])


def test_exact_match_by_hand():
    assert finetune.exact_match(["Mia", "Rex", "mia"], ["Mia", "Max", "Mia"]) == 1 / 3
