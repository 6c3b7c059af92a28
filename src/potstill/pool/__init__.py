"""The transfer set: the texts that the teacher labels and the student is trained on."""
