"""Baselines without a teacher: the network of the student on hard labels (`network`), and TF-IDF (`scoring.tfidf`)."""
