"""A process to kill: it opens the store of a directory, appends batches of three, and prints each stored sequence."""

import asyncio
import sys
from pathlib import Path

from fenced.journal.sqlite.store import SqliteJournal
from fenced.ports.journal import Batch
from tests.journal.rigs import start
from tests.journal.strategies import entry


async def main(directory: Path) -> None:
    journal = SqliteJournal(url="sqlite:///fenced.db", state_dir=directory)
    await start(journal, holder="writer")
    print(0, flush=True)
    number = 0
    while True:
        print(await journal.append(Batch(entries=[entry(number=number)] * 3)), flush=True)
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
