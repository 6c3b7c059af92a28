"""Teachers that are fine-tuned, and interrupted."""

from potstill.scoring import model as teachers
from potstill.scoring import pretrained
from potstill.teacher import finetune
from tests.settings import teacher_settings


class Killed(Exception):
    """Stands in for the death of the process."""


def train(source, data, scratch, epochs=3, log=lambda epoch: None, rate=3e-3, **settings):
    network, tokenizer = pretrained.load(str(source), data.labels)
    params = teacher_settings(epochs=epochs, **settings)
    finetune.finetune(network, tokenizer, data.train, data.validation, params, rate, scratch, log)
    return network, tokenizer


def make_teacher(bert, folder, labels):
    network, tokenizer = pretrained.load(str(bert), labels)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    teachers.describe(folder, "checkpoint", labels, 32)
    return folder
