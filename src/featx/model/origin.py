"""The feature store that a model was fitted on, as the model remembers it."""

from dataclasses import dataclass

from featx.spec import ExtractionSpec


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The feature store that a model was fitted on.

    Parameters
    ----------
    name : str
        Stem of the store's file.
    path : str
        Where the store was.
    content_digest : str
        Digest of everything in the store.
    spec : ExtractionSpec
        What its features are.
    weights_source : str
        Where the backbone's weights came from: ``"imagenet"``, a file's path, or ``"none"``.
    """

    name: str
    path: str
    content_digest: str
    spec: ExtractionSpec
    weights_source: str

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the spec, 64 hexadecimal digits."""
        return self.spec.fingerprint
