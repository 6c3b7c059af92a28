"""One page about what was trained: the verdict, and the evidence for it."""
