"""What the system and SQLite say of an error, where an agent may meet it; contract.sentence hands it on.

Nothing imports this: it is here for the extractor, which does not read the C library.
tests/unit/agent/test_sentences.py holds it against the installed one.
"""

import errno

from contract.sentence import sentence

SYSTEM = {
    errno.EPERM: sentence("Operation not permitted"),
    errno.ENOENT: sentence("No such file or directory"),
    errno.EIO: sentence("Input/output error"),
    errno.ENOMEM: sentence("Cannot allocate memory"),
    errno.EACCES: sentence("Permission denied"),
    errno.EBUSY: sentence("Device or resource busy"),
    errno.EEXIST: sentence("File exists"),
    errno.ENODEV: sentence("No such device"),
    errno.ENOTDIR: sentence("Not a directory"),
    errno.EISDIR: sentence("Is a directory"),
    errno.EINVAL: sentence("Invalid argument"),
    errno.EMFILE: sentence("Too many open files"),
    errno.ETXTBSY: sentence("Text file busy"),
    errno.EFBIG: sentence("File too large"),
    errno.ENOSPC: sentence("No space left on device"),
    errno.EROFS: sentence("Read-only file system"),
    errno.EPIPE: sentence("Broken pipe"),
    errno.ENAMETOOLONG: sentence("File name too long"),
    errno.ENOTEMPTY: sentence("Directory not empty"),
    errno.ELOOP: sentence("Too many levels of symbolic links"),
    errno.EDQUOT: sentence("Disk quota exceeded"),
    errno.ESTALE: sentence("Stale file handle"),
}

SQLITE = (
    sentence("database or disk is full"),
    sentence("disk I/O error"),
    sentence("attempt to write a readonly database"),
    sentence("unable to open database file"),
    sentence("database is locked"),
    sentence("database disk image is malformed"),
    sentence("file is not a database"),
)
