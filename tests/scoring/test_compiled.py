"""OpenVINO computes what torch does, the same in every run; torch computes what OpenVINO cannot."""

import numpy as np
import pytest
import torch

from potstill.core import device
from potstill.scoring import compiled, inference, pretrained
from tests.tasks import make_checkpoint

pytestmark = pytest.mark.slow

if compiled.import_openvino() is None:
    pytest.skip("needs openvino, which the extra `train` brings on x86-64", allow_module_level=True)

PRECISIONS = {"fp32": 1e-5, "bf16": 0.05}  # with the largest difference from fp32, as a share of the largest logit


@pytest.fixture
def classifier(request, data, tmp_path):
    """A network of random weights, its tokenizer, and texts of many lengths."""
    source = make_checkpoint(request.param, tmp_path / "checkpoint", data.train["text"].tolist())
    network, tokenizer = pretrained.load(str(source), data.labels)
    return network, tokenizer, [*data.test["text"], "", "word " * 100]


def scored(classifier, precision="fp32", network=None, batch_size=16):
    return inference.score(*classifier, 32, batch_size, precision, network).logits


def computes(precision):
    """Whether OpenVINO computes in that precision on this processor."""
    return precision == "fp32" or device.bf16("auto")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("classifier", ["bert", "distilbert", "xlnet"], indirect=True)
def test_logits_are_those_of_torch_and_the_same_in_every_run(classifier, precision, monkeypatch):
    network, tokenizer, _ = classifier
    expected = scored(classifier)
    found = []
    for threads in (1, 2):
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        made = compiled.compile_network(network, tokenizer, precision)
        assert bool(made) == computes(precision)
        if not made:
            return
        found += [scored(classifier, precision, made) for _ in range(2)]
        found.append(scored(classifier, precision, made, batch_size=1))
    limit = PRECISIONS[precision] * np.abs(expected).max()
    np.testing.assert_allclose(found[0], expected, atol=limit, rtol=0)
    assert len({logits.tobytes() for logits in (found[0], found[1], found[3], found[4])}) == 1
    for alone in (found[2], found[5]):
        np.testing.assert_allclose(alone, found[0], atol=inference.ROUNDING[precision] * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("classifier", ["mpnet"], indirect=True)
def test_relative_positions_of_mpnet_are_exact_in_every_precision(classifier, precision):
    network, tokenizer, texts = classifier
    encoder = network.mpnet.encoder
    torch.manual_seed(0)
    torch.nn.init.normal_(encoder.relative_attention_bias.weight, std=4)
    for layer in encoder.layer:  # so that logits depend on positions
        layer.attention.attn.o.weight.data *= 100
    long = (network, tokenizer, [" ".join(texts[start : start + 6]) for start in range(20)])
    expected = scored(long)
    made = compiled.compile_network(network, tokenizer, precision)
    assert bool(made) == computes(precision)
    if not made:
        return
    found = scored(long, precision, made)
    np.testing.assert_allclose(found, expected, atol=PRECISIONS[precision] * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("classifier", ["t5"], indirect=True)
def test_torch_computes_what_cannot_be_converted(classifier, capsys):
    assert compiled.compile_network(*classifier[:2], "fp32") is None
    assert capsys.readouterr().out == "note: OpenVINO cannot run t5 (OpConversionFailure); torch does, more slowly\n"


@pytest.mark.parametrize("classifier", ["bert"], indirect=True)
def test_torch_computes_where_logits_differ_and_where_a_precision_is_only_emulated(classifier, monkeypatch, capsys):
    class Wrong(compiled.CompiledNetwork):
        def fill(self, logits, batches):
            super().fill(logits, batches)
            logits += np.abs(logits).max()

    class Single(compiled.CompiledNetwork):
        def __init__(self, model, example, precision):
            super().__init__(model, example, "f32")

    monkeypatch.setattr(compiled, "CompiledNetwork", Wrong)
    assert compiled.compile_network(*classifier[:2], "fp32") is None
    note = r"note: OpenVINO cannot run bert (its logits differ by 1 of the largest); torch does, more slowly"
    assert capsys.readouterr().out == note + "\n"
    monkeypatch.setattr(compiled, "CompiledNetwork", Single)
    assert compiled.compile_network(*classifier[:2], "bf16") is None
    assert not capsys.readouterr().out


def test_nothing_is_reported_to_anyone():
    compiled.import_openvino()
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
