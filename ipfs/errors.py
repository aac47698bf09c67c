"""What can go wrong with content: every error names the CID, who was asked, and what to do."""


class ContentError(Exception):
    """Content cannot be used.

    `cid` is the CID in question (for an error inside a file, the root's or the block's own), empty where an
    operation has none yet; `asked` is the store's name, empty where nobody had to be asked.
    """

    advice = "Check the CID and the store."

    def __init__(self, cid: str, asked: str, detail: str, advice: str | None = None) -> None:
        self.cid = cid
        self.asked = asked
        self.detail = detail
        if advice is not None:
            self.advice = advice
        super().__init__(cid, asked, detail, self.advice)

    def __str__(self) -> str:
        subject = f"{self.cid}: " if self.cid else ""
        whom = f" (asked: {self.asked})" if self.asked else ""
        return f"{subject}{self.detail}{whom}. {self.advice}"


class ContentMissing(ContentError):  # noqa: N818 - the failure's name, as users read it
    """The store does not have a block, or did not deliver it within the time-out."""

    advice = "Add the content again where it is kept, or ask a store that has it pinned."


class ContentCorrupt(ContentError):  # noqa: N818
    """A block's bytes do not hash to its CID, or say something about the file that is not so."""

    advice = "Do not use it: add the content again from a good copy, or ask another store."


class ContentTooLarge(ContentError):  # noqa: N818
    """A block, a file or a tree exceeds the limits of whoever reads it."""

    advice = "Read it as a stream or in parts, or raise the limit if you trust its source."


class ContentLooping(ContentError):  # noqa: N818
    """A block is reached from itself, or the tree is deeper than any honest file's."""

    advice = "Do not use it: no honest file looks like this."


class StoreUnavailable(ContentError):  # noqa: N818
    """The store itself cannot be reached or used."""

    advice = "Start the store or correct its address."


class InvalidCid(ContentError, ValueError):  # noqa: N818
    """The text is not a CID that Assay reads."""

    advice = "Give a CID like bafy..., bafk... or Qm..., as `ipfs add` prints it."
