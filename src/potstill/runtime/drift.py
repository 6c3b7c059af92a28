"""Whether texts differ from those that a student was validated on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from potstill.core.errors import PotstillError
from potstill.runtime.model import Classifier
from potstill.runtime.profile import Profile, Tally, traits

ALPHA, MIN_EFFECT = 0.01, 0.05
LEAST_ALPHA = 0.001
SHOWN_WORDS = 20
_BATCH = 1 << 12  # texts counted at a time
_DRAWS = 10_000  # of the permutation test, at least
_PRECISION = 20  # draws for each unit of 1 / alpha, and of the number of traits
_ENOUGH = 100  # draws as extreme as the texts, after which no more are drawn
_MOST_BINS = 256  # of more, the rarest are one
_MOST_TEXTS = 100_000_000  # numpy draws from fewer than 10^9
_CHUNK = 1 << 20  # numbers drawn at a time


@dataclass(frozen=True)
class Change:
    """How texts differ in one trait.

    Attributes:
        trait: its name, see `profile.traits`.
        bins: the names of its bins.
        before: the number of validation texts in each bin.
        now: the number of these texts in each bin.
        effect: the share of texts that would have to be in another bin (total variation distance), 0 to 1, less what
            chance brings on average.
        p: the p-value, adjusted for the number of traits (Holm 1979).
        drifted: whether `p` is at most `alpha`, and `effect` at least `min_effect`.
    """

    trait: str
    bins: list[str]
    before: list[int]
    now: list[int]
    effect: float
    p: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """How texts differ from the validation texts; `str()` gives a table.

    Attributes:
        texts: the number of texts.
        validation_texts: the number of texts of the student's profile.
        alpha: the false-alarm rate: the probability of `drifted` for texts like the validation texts, at most.
        min_effect: the least effect that counts as drift.
        changes: by trait.
        validation_accuracy: the student's accuracy on the validation texts; where nobody has labelled these, its
            agreement with its teacher.
        expected_accuracy: an estimate of the same on these texts, from its confidences.
        score: which of the two that is, `accuracy` or `agreement`.
        unknown_words: words that are not in the vocabulary, with the number of texts that have them, most first.
    """

    texts: int
    validation_texts: int
    alpha: float
    min_effect: float
    changes: list[Change]
    validation_accuracy: float
    expected_accuracy: float
    unknown_words: list[tuple[str, int]]
    score: str = "accuracy"

    @property
    def drifted(self) -> bool:
        """Whether the texts differ in any trait."""
        return any(change.drifted for change in self.changes)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterable[str]:
        """Yield the lines of the table."""
        found = ", ".join(change.trait for change in self.changes if change.drifted)
        yield f"{f'drift in {found}' if found else 'no drift'}: {self.texts:,} texts, compared with " + (
            f"{self.validation_texts:,} validation texts"
        )
        yield "trait       differs in       p  most changed"
        for change in self.changes:
            p = f"{change.p:.4f}" if change.p >= 0.0001 else "<0.0001"
            yield (
                f"{change.trait:<10} {change.effect:>10.1%} {p:>8}  {_most_changed(change)}"
                + "  drift" * change.drifted
            )
        yield f"{self.score:<12}{self.expected_accuracy:.1%} expected, {self.validation_accuracy:.1%} on validation"
        if self.unknown_words:
            named = ", ".join(f"{word} ({count:,})" for word, count in self.unknown_words)
            yield f"unknown words, and texts that have them: {named}"


def _most_changed(change: Change) -> str:
    """Describe the bin whose share has changed most."""
    before, now = (np.array(counts) / max(1, sum(counts)) for counts in (change.before, change.now))
    i = int(np.abs(now - before).argmax())
    return f"{change.bins[i]}: {before[i]:.1%} → {now[i]:.1%}"


def drift(
    student: Classifier, batches: Iterable[Sequence[str]], alpha: float = ALPHA, min_effect: float = MIN_EFFECT
) -> Drift:
    """Compare texts with the profile in a student's file.

    Each trait is tested by a permutation test of the chi-squared statistic, which is exact whatever the counts, and
    takes into account that the validation texts are a sample too (as two-sample tests do). Under the null hypothesis
    the texts are drawn independently from the same distribution as the validation texts.

    Args:
        student: the student.
        batches: batches of texts, which are not kept.
        alpha: the false-alarm rate over all traits, `LEAST_ALPHA` to 0.5.
        min_effect: the least share of texts in other bins that counts as drift, 0 to 1, so that in many texts no
            trifle does.

    Raises:
        PotstillError: the student's file has no profile, there are no texts, or an argument is out of range.
    """
    for name, value, least, most in (("alpha", alpha, LEAST_ALPHA, 0.5), ("min_effect", min_effect, 0, 1)):
        if not least <= value <= most:
            raise PotstillError(f"{name}: must be a number from {least} to {most} (found: {value})")
    profile = Profile.of(student)
    if profile is None:
        raise PotstillError(
            "profile: the model file has none of its validation texts, to compare with. "
            "Export the model again with `export.profile: true`."
        )
    tally = Tally(student)
    for batch in batches:
        for start in range(0, len(batch), _BATCH):
            tally.add(batch[start : start + _BATCH])
    texts = int(tally.counts["length"].sum())
    if not texts:
        raise PotstillError("texts: there are none to compare. Give at least one.")
    words = tally.unknown_words.most_common(SHOWN_WORDS)
    found = compare(profile, tally.counts, traits(student), alpha, min_effect, words)
    unlabelled = "validation" in student.facts.get("labelled_by_teacher", [])
    return replace(found, score="agreement") if unlabelled else found


def compare(
    profile: Profile,
    counts: dict[str, np.ndarray],
    names: dict[str, list[str]],
    alpha: float,
    min_effect: float,
    unknown_words: Sequence[tuple[str, int]] = (),
) -> Drift:
    """Compare the counts of texts with a profile, see `drift`.

    Args:
        profile: that of the validation texts.
        counts: by trait, the number of texts in each bin, int64 (bins,).
        names: by trait, the names of the bins.
        alpha, min_effect: see `drift`.
        unknown_words: see `Drift`.
    """
    rng = np.random.default_rng(0)  # so that the same texts give the same answer
    draws = max(_DRAWS, round(_PRECISION * len(counts) / alpha))
    tests = [permutation_test(profile.counts[name], now, draws, rng) for name, now in counts.items()]
    changes = []
    for (name, now), (_, effect), p in zip(counts.items(), tests, holm([p for p, _ in tests]), strict=True):
        drifted = p <= alpha and effect >= min_effect
        changes.append(Change(name, names[name], profile.counts[name].tolist(), now.tolist(), effect, p, drifted))
    return Drift(
        texts=int(counts["length"].sum()),
        validation_texts=profile.texts,
        alpha=alpha,
        min_effect=min_effect,
        changes=changes,
        validation_accuracy=profile.correct / profile.texts,
        expected_accuracy=expected_accuracy(profile, counts["confidence"]),
        unknown_words=list(unknown_words),
    )


def permutation_test(before: np.ndarray, now: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Test the hypothesis that two samples are from the same distribution.

    The statistic is Pearson's chi-squared; its distribution is that over all ways to divide the pooled texts into two
    samples of these sizes, of which `draws` are drawn (the p-value is valid for any number: Phipson and Smyth 2010).

    Args:
        before, now: the number of texts in each bin, int64 (bins,); neither is empty.
        draws: the number of random divisions; fewer are drawn once the p-value is clearly large, which leaves it valid
            (Besag and Clifford 1991).
        rng: the source of randomness.

    Returns:
        The p-value, and the total variation distance of the samples less that of random divisions, 0 to 1.
    """
    before, now = (_thinned(counts, rng) for counts in (before, now))
    pooled = before + now
    order = np.argsort(-pooled, kind="stable")
    pooled, now = (np.append(counts[order[:_MOST_BINS]], counts[order[_MOST_BINS:]].sum()) for counts in (pooled, now))
    now, pooled = now[pooled > 0], pooled[pooled > 0]
    size, others = int(now.sum()), int(pooled.sum() - now.sum())
    expected = pooled * (size / (size + others))
    observed = ((now - expected) ** 2 / pooled).sum() * (1 - 1e-9)  # sums in another order may differ

    def distance(samples: np.ndarray) -> np.ndarray:
        return np.abs(samples / size - (pooled - samples) / others).sum(-1) / 2

    extreme = done = 0
    effect = 0.0
    while done < draws:
        step = min(max(done, 2 * _ENOUGH), draws - done, max(1, _CHUNK // len(pooled)))
        samples = rng.multivariate_hypergeometric(pooled, size, step, method="marginals")
        if not done:
            effect = max(0.0, float(distance(now) - distance(samples).mean()))
        hits = np.flatnonzero(((samples - expected) ** 2 / pooled).sum(1) >= observed)
        if extreme + len(hits) >= _ENOUGH:
            return _ENOUGH / (done + int(hits[_ENOUGH - extreme - 1]) + 1), effect
        extreme, done = extreme + len(hits), done + step
    return (1 + extreme) / (1 + draws), effect


def _thinned(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of a random part of the texts if there are too many to draw from."""
    total = counts.sum()
    return counts if total <= _MOST_TEXTS else rng.binomial(counts, _MOST_TEXTS / total / 2)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979).

    If one rejects those up to alpha, the probability to reject any true hypothesis is at most alpha.
    """
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, i in enumerate(np.argsort(values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted


def expected_accuracy(profile: Profile, confidences: np.ndarray) -> float:
    """Estimate the accuracy on texts from the number of them in each bin of confidence, int64 (bins,).

    This is average thresholded confidence (Garg et al. 2022, arXiv 2201.04234): the share of texts that are more
    confident than a threshold, which as many validation texts exceed as are labelled correctly. Within the bin of the
    threshold, texts count by the share of its validation texts that do.
    """
    before = profile.counts["confidence"]
    higher = before[::-1].cumsum()[::-1] - before  # validation texts in higher bins
    shares = np.clip((profile.correct - higher) / np.maximum(before, 0.5), 0, 1)
    return float(shares @ confidences / confidences.sum())
