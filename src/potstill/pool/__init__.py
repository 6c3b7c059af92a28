"""The transfer set: every text that the teacher labels and the student learns from."""
