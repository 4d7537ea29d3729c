"""The API's real server, in front of the fake engine; the page is part of it."""

from tests.api.conftest import api as api
from tests.api.conftest import guarded_api as guarded_api
