"""Training and all runtimes on texts in any script."""

import random

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from potstill.baseline.network import train_on_labels
from potstill.data.dataset import Dataset
from potstill.export import to_onnx
from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.scoring.tfidf import Tfidf
from tests.pools import pooled
from tests.settings import baseline_settings
from tests.students import portable

# By language: what stands between words, words of two classes, and words of both.
LANGUAGES = {
    "chinese": (
        "",
        ["高兴", "快乐", "喜欢", "美好"],
        ["悲伤", "难过", "讨厌", "糟糕"],
        ["今天", "我们", "天气", "电影"],
    ),
    "japanese": ("", ["嬉しい", "楽しい", "すてき"], ["悲しい", "寂しい", "つらい"], ["今日は", "コーヒー", "映画が"]),
    "thai": ("", ["ดีใจ", "สุข", "ชื่นชอบ"], ["เศร้า", "ทุกข์", "แย่"], ["วันนี้", "อากาศ", "เรา"]),
    "hindi": (" ", ["खुशी", "अच्छी", "सुंदर"], ["दुःखी", "बुरी", "ख़राब"], ["आज", "हिन्दी", "फ़िल्में"]),
    "arabic": (" ", ["سَعِيد", "جميل", "رائع"], ["حَزين", "سيئ", "مؤلم"], ["اليومَ", "الفيلم", "كُتُب"]),
    "russian": (" ", ["Рад", "хорошо", "чудесно"], ["грустно", "плохо", "ужасно"], ["Сегодня", "фильм", "в", "и"]),
    "emoji": ("", ["😀", "❤️", "👍🏽", "👩‍❤️‍👩"], ["😢", "💔", "👎🏽", "☹️"], ["☕️", "🇩🇪", "1️⃣", "👩‍💻", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
}


def make(language, number, seed):
    between, *classes, neutral = LANGUAGES[language]
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        label = rng.randrange(2)
        chosen = [rng.choice(classes[label]), *rng.choices(neutral, k=rng.randint(1, 4))]
        rng.shuffle(chosen)
        rows.append((between.join(chosen), label))
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.fixture(scope="module", params=LANGUAGES)
def trained(request):
    """A student trained on hard labels, and unseen texts of known words."""
    train, held_out = make(request.param, 200, 0), make(request.param, 60, 1)
    held_out = held_out[~held_out["text"].isin(train["text"])]
    params = baseline_settings(architecture="bigru", vocab_size=100, fingerprint_bits=None, epochs=8)
    student = train_on_labels(["good", "bad"], train, train, params).student
    return student, train, held_out["text"].tolist(), held_out["label"].to_numpy()


def test_a_student_learns(trained):
    student, _, texts, labels = trained
    assert len(texts) > 10
    assert (student.predict_proba(texts).argmax(1) == labels).mean() > 0.95


def test_tfidf_learns(trained):
    _, train, texts, labels = trained
    assert (Tfidf.fit(train, 10.0, None).predict_proba(texts).argmax(1) == labels).mean() > 0.9


def test_all_runtimes_predict_the_same(trained, javascript, tmp_path):
    student, _, texts, _ = trained
    texts = [*texts, "".join(texts), " ".join(texts)]
    student.save(tmp_path / "a.pot")
    loaded = Student.load(tmp_path / "a.pot")
    expected = portable(loaded).predict_proba(texts)
    session = onnxruntime.InferenceSession(to_onnx.build(loaded).SerializeToString())
    [[answers, explained, _]] = javascript([tmp_path / "a.pot"], texts)
    np.testing.assert_allclose(loaded.predict_proba(texts), expected, atol=1e-5)
    np.testing.assert_allclose(session.run(None, {"text": np.array(texts, object)})[1], expected, atol=1e-5)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert [part["word"] for part in explained[0]["words"]] == tokenizer.words(texts[0])


def test_the_pool_varies_words_in_scripts_without_spaces():
    texts = make("chinese", 50, 0)
    data = Dataset(["good", "bad"], texts[:46], texts[46:48], texts[48:], texts[:0][["text"]])
    pool = pooled(data, replace=1.0, replace_rate=0.5, borrow=0, drop=1.0, drop_rate=0.5, splice=1.0)
    known = set("".join(data.train["text"]))
    assert set(pool["source"]) == {"train", "replace", "drop", "splice", "generated"}
    assert {character for text in pool["text"] for character in text} == known  # and no space
