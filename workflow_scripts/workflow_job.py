"""What every script of the workflow does around its one library call: logging and errors."""

import errno
import logging
import sys
from contextlib import contextmanager
from pathlib import Path

from ood.errors import InputError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def job(snakemake):
    """Log to the job's log file and the terminal; end with a message instead of a traceback.

    A traceback is kept for errors that are no user's mistake.
    """
    label = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler, form in (
        (logging.FileHandler(snakemake.log[0], mode="w"), "%(asctime)s %(levelname)s %(message)s"),
        (logging.StreamHandler(sys.stderr), f"[{label}] %(message)s"),
    ):
        handler.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)
    log = logging.getLogger("job")
    try:
        yield
    except InputError as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            log.exception("failed")
            sys.exit(1)
        folders = sorted({str(Path(path).parent) for path in snakemake.output})
        where = error.filename or ", ".join(folders)
        log.error(
            "cannot write %s: %s. Mend that and run again; what was computed is kept.",
            where,
            error.strerror,
        )
        sys.exit(1)
    except Exception:
        log.exception("failed")
        sys.exit(1)
