"""The built-in corpus as a source like any other, so that it is cleaned and counted in the same way."""

from potstill.corpus import demo
from potstill.corpus.dataset import SPLITS
from potstill.corpus.tables import Raw, Table
from potstill.errors import PotstillError
from potstill.params.prepare import PrepareParams


def read(params: PrepareParams) -> Raw:
    """Generate the corpus in the sizes of `prepare.demo`.

    Raises:
        PotstillError: several labels are asked for, which its texts do not have.
    """
    if params.multi_label:
        raise PotstillError("`prepare.multi_label` is true, but the demo corpus has one label a text: set it to false")
    data = demo.generate(**params.demo.model_dump(), seed=params.seed)
    names = dict(enumerate(data.labels))
    splits = {}
    for split in SPLITS:
        rows = data.split(split)
        splits[split] = Table(f"the demo corpus ({split})", rows.assign(label=rows["label"].map(names)))
    return Raw(splits, [Table("the demo corpus (unlabelled)", data.unlabelled)], data.labels)
