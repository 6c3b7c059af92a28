"""The demo corpus as a source, cleaned and counted as any other."""

from potstill.core.errors import PotstillError
from potstill.data.dataset import SPLITS
from potstill.prepare import demo
from potstill.prepare.params import PrepareParams
from potstill.readers.tables import RawData, Table


def read(params: PrepareParams) -> RawData:
    """Generate the corpus in the sizes of `prepare.demo`.

    Raises:
        PotstillError: `prepare.multi_label` is true.
    """
    if params.multi_label:
        raise PotstillError("`prepare.multi_label` is true, but demo texts have one label each. Set it to false.")
    data = demo.generate(**params.demo.model_dump(), seed=params.seed)
    label_names = dict(enumerate(data.labels))
    splits = {}
    for split in SPLITS:
        rows = data.split(split)
        splits[split] = Table(f"demo corpus ({split})", rows.assign(label=rows["label"].map(label_names)))
    return RawData(splits, [Table("demo corpus (unlabelled)", data.unlabelled)], data.labels)
