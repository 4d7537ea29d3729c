"""The base of all tables: an unknown key is a mistake."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file. An unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: ClassVar[str] = ""
