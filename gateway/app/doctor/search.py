"""The trigram index: a cache, so that it may be missing, old or broken, and what to do then."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.app.settings import trigram_path
from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.store.trigram_file import check_file

from .findings import Finding, problem, warning, well


def check_trigrams(config: Config) -> Iterator[Finding]:
    """Nothing where there is to be none; all of the file is read."""
    if not config.search.trigram:
        return
    area = "search index"
    try:
        path = trigram_path(config)
    except ConfigError as error:
        yield problem(area, str(error), "change store.url")
        return
    if not path.exists():
        yield well(area, f"{path} is not there yet: the running server makes it, and searches do without meanwhile")
        return
    wrong = check_file(path)
    if wrong is None:
        yield well(area, f"{path} is sound")
    else:
        yield warning(
            area, f"{path} is damaged: {wrong}",
            f"stop the server, remove {path.name} and what lies beside it ({path.name}-wal, {path.name}-shm), start it:"
            " the index is made anew",
        )
