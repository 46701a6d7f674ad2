"""Readers of image formats that may be installed after a file failed for want of one."""


def has_reader_now(message: str) -> bool:
    """Tell whether a file that failed for want of a reader, by its message, has one now."""
    from featx.images.heif import readable_now  # loads Pillow, which only such failures need

    return readable_now(message)
