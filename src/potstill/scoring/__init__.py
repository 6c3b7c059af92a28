"""What loads a model that the student is compared with, and scores texts: teachers and TF-IDF."""
