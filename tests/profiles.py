"""Students whose file holds a profile."""

import dataclasses

from potstill.runtime.profile import FACT, Profile, Tally
from tests.students import student

IN_DOMAIN = ["the ab not good", "ab ab", "ça va the", "not good", "the a ab ! ?"]


def with_profile(texts, made=None):
    """A student with the profile of these texts, half of which it labels correctly."""
    made = made or student("mlp")
    tally = Tally(made)
    tally.add(texts)
    return dataclasses.replace(made, facts=made.facts | {FACT: Profile(tally.counts, len(texts) // 2).fact()})
