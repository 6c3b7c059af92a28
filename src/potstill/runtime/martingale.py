"""A sequential test of drift: one may look after every text without raising the false-alarm rate.

Texts come one after the other. Among all texts so far, those of the validation split included, the newest has a random
rank if nothing has changed: its conformal p-values are independent and uniform, however few validation texts there are
(Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2022, chapter 8). A gambler bets against that at
fair odds. By Ville's inequality (1939), his capital ever reaches 1/alpha times what he began with with probability
alpha at most; so the largest capital so far, the evidence, can be looked at at any time.

The bets are histograms over p-values. Capital is divided among them, and a part of it is divided again at each step
(fixed share, Herbster and Warmuth 1998) at a rate that falls as 1/t, so that in a million texts without drift only a
factor in the order of their number is lost, and drift that begins then is found too.
"""

import numpy as np

SEGMENTS = 10  # of p-values
_START = 1000  # texts: how fast capital is divided again in the beginning


def _bets() -> np.ndarray:
    """Return the payoffs of the bets, floats (bets, segments), each with mean 1: no bet, tilts, and single segments."""
    x = np.linspace(-1, 1, SEGMENTS)
    bowl = (x**2 - (x**2).mean()) / np.abs(x**2 - (x**2).mean()).max()
    shapes = [1 + size * shape for shape in (x, -x, bowl, -bowl) for size in (0.3, 0.8)]
    for i in range(SEGMENTS):
        for payoff in (0.3, 3.0):
            single = np.full(SEGMENTS, (SEGMENTS - payoff) / (SEGMENTS - 1))
            single[i] = payoff
            shapes.append(single)
    return np.array([np.ones(SEGMENTS), *shapes])


_LOG_PAYOFFS = np.log(_bets())
# Half of the capital is not bet.
_LOG_SHARES = np.log(np.array([0.5, *[0.5 / (len(_LOG_PAYOFFS) - 1)] * (len(_LOG_PAYOFFS) - 1)]))


class Martingale:
    """The capital of a gambler against one trait of texts.

    Attributes:
        evidence: the natural logarithm of the largest capital so far, which began as 1.
    """

    def __init__(self, before: np.ndarray, rng: np.random.Generator) -> None:
        """Begin with the number of validation texts in each bin, int64 (bins,)."""
        self.evidence = 0.0
        self._bag, self._rng, self._texts = before.astype(np.int64), rng, 0
        self._capital = _LOG_SHARES.copy()  # logarithms, by bet

    def update(self, bins: np.ndarray) -> None:
        """Bet on texts, in the order in which they came, given as the numbers of their bins, int64 (texts,).

        The evidence is that after the last of them. It takes memory for texts times bins.
        """
        if not len(bins):
            return
        segments = np.minimum((self._p_values(bins) * SEGMENTS).astype(int), SEGMENTS - 1)
        moved = len(bins) / (_START + self._texts + len(bins))
        total = np.logaddexp.reduce(self._capital)
        self._capital = np.logaddexp(np.log1p(-moved) + self._capital, np.log(moved) + total + _LOG_SHARES)
        self._capital += _LOG_PAYOFFS @ np.bincount(segments, minlength=SEGMENTS)
        self._texts += len(bins)
        self.evidence = max(self.evidence, float(np.logaddexp.reduce(self._capital)))

    def _p_values(self, bins: np.ndarray) -> np.ndarray:
        """Return the rank of each text among all up to it, ties at random, as a fraction; and add the texts to them."""
        seen = np.zeros((len(bins), len(self._bag)), np.int64)
        seen[np.arange(len(bins)), bins] = 1
        seen = self._bag + seen.cumsum(0)
        below = seen.cumsum(1) - seen
        self._bag = seen[-1]
        rows = np.arange(len(bins))
        return (below[rows, bins] + self._rng.random(len(bins)) * seen[rows, bins]) / seen.sum(1)
