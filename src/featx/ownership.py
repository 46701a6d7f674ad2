"""Rights of other users on the folders and files that featx trusts."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_MOST_LINKS = 40
_WORLD, _GROUP = stat.S_IWOTH, stat.S_IWGRP


def others_rights(path: Path) -> str | None:
    """Say which rights let another user change what lies in a folder; None if only this user and root can.

    The folder and every folder and link on the way to it must belong to this user or to root. None may be writable by
    others, except folders above it that have the sticky bit, as ``/tmp`` has. A group counts as others unless nobody
    else is in it. Of a folder that isn't there yet, the folders above it are looked at. Access control lists are not.

    Returns
    -------
    str or None
        Such as ``"others may write to /data/shared"``.
    """
    for place, status in _places(path.absolute()):
        if stat.S_ISLNK(status.st_mode):
            if not _own(status):
                return f"{place} is a link that belongs to another user"
        elif not _own(status):
            return f"{place} belongs to another user"
        elif _others_write(status) and (place == Path(os.path.realpath(path)) or not status.st_mode & stat.S_ISVTX):
            return f"other users may write to {place}"
    return None


def anybody_writes(path: Path) -> bool:
    """Tell whether every user may change what lies in a folder, or replace it."""
    here = Path(os.path.realpath(path))
    return any(
        status.st_mode & _WORLD and (place == here or not status.st_mode & stat.S_ISVTX)
        for place, status in _places(path.absolute())
        if stat.S_ISDIR(status.st_mode)
    )


def own_file(status: os.stat_result) -> bool:
    """Tell whether a file belongs to this user or to root, and others may not write to it."""
    return _own(status) and not _others_write(status)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone.

    Raises
    ------
    OSError
        It can't be made.
    """
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _places(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the folders and links that lead to a path, as far as they are there, with their status."""
    here, links = Path(path.anchor), 0
    ahead = list(reversed(path.parts[1:]))
    yield here, here.lstat()
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = here.parent
            continue
        place = here / part
        try:
            status = place.lstat()
        except OSError:  # not there yet, or not to be seen
            return
        yield place, status
        if not stat.S_ISLNK(status.st_mode):
            here = place
        elif (links := links + 1) > _MOST_LINKS:
            return
        else:
            target = place.readlink()
            here = Path(target.anchor) if target.is_absolute() else here
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _own(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid()) or status.st_uid == _outside()


def _outside() -> int | None:
    """Return the user that owners outside this user namespace appear as, root among them; None where there are none.

    In a sandbox such as bubblewrap's, ``/`` and ``/home`` belong to that user.
    """
    try:
        number = int(Path("/proc/sys/fs/overflowuid").read_text(encoding="ascii"))
        mapped = [
            range(int(first), int(first) + int(count))
            for first, _, count in map(str.split, Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines())
        ]
    except (OSError, ValueError):  # no Linux
        return None
    return None if any(number in users for users in mapped) else number


def _others_write(status: os.stat_result) -> bool:
    if status.st_mode & _WORLD:
        return True
    return bool(status.st_mode & _GROUP) and not _private_group(status.st_gid)


def _private_group(number: int) -> bool:
    """Tell whether nobody but this user and root is in a group, as in those that Linux makes for each user."""
    import grp
    import pwd

    if number == 0:
        return True
    user = os.geteuid()
    try:
        name, group = pwd.getpwuid(user).pw_name, grp.getgrnam(pwd.getpwuid(user).pw_name)
    except KeyError:  # a user or a group without a name, as in containers
        return number == user == os.getegid()
    return group.gr_gid == number and set(group.gr_mem) <= {name}
