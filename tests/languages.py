"""A tiny task in several languages."""

import random

import pandas as pd

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
