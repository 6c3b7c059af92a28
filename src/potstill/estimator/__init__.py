"""Train in Python, without DVC: `DistilledClassifier` and `Teacher`, estimators of scikit-learn."""
