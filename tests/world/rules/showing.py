"""The bus shows no host as fenced for long that the journal does not call fenced (S22)."""

from collections.abc import Callable
from typing import Final

from fenced.bus import messages
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import State
from fenced.ports.bus import Message
from tests.world.rules.base import Rule, Truth

ANSWER_SECONDS: Final = 90.0
"""An answer may wait for `repeats.LONGEST_PAUSE_SECONDS` and a renewal of the lease."""

START_SECONDS: Final = 10.0


class NoStaleFence(Rule):
    """An old or lost `fenced` on the bus is replaced, if a controller could do so all the time."""

    name = "S22"

    def __init__(self, truth: Truth, find: Callable[[str, str], None]) -> None:
        super().__init__(truth, find)
        self._shown: dict[str, tuple[Message, float]] = {}
        """The kept `fenced` of each topic that is not checked yet, and since when."""
        self._checked: dict[str, Message] = {}
        self._due: dict[str, float] = {}
        self._troubled_at = 0.0

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        """A change of the journal makes the kept message an old one: its time to be replaced starts again."""
        for known in (self._checked, self._shown, self._due):
            for topic in [topic for topic in known if topic.endswith(f"/{host}")]:
                del known[topic]

    def stepped(self) -> None:
        broker, now = self.truth.broker, self.truth.now()
        is_bad = not broker.is_willing or broker.refused or broker.deaf or not broker.is_subscribed
        if is_bad or self.truth.up_since is None:
            self._troubled_at = now
        for topic, message in broker.kept.items():
            if self._checked.get(topic) is message or self._shown.get(topic, (None, 0.0))[0] is message:
                continue
            self._checked.pop(topic, None)
            if b'"fenced"' in message.payload and self._troubled_at < now:  # what nobody heard waits for a connection
                self._shown[topic] = message, now
            else:
                self._shown.pop(topic, None)
                self._due.pop(topic, None)
                self._checked[topic] = message
        calm_since = max(self._troubled_at, self.truth.troubled_at, self.truth.up_since or now)
        for topic, (message, since) in list(self._shown.items()):
            if now > max(since, calm_since) + ANSWER_SECONDS:
                # Nothing ran while the only daemon was down, so this step may be its start: it answers in later ones.
                if now < self._due.setdefault(topic, now) + START_SECONDS:
                    continue
                del self._shown[topic], self._due[topic]
                self._checked[topic] = message
                self._look(HostName(topic.rpartition("/")[2]), message)

    def _look(self, host: HostName, message: Message) -> None:
        shown = messages.state(message.payload, host=host, received=0.0, is_retained=True)
        state = self.truth.folded().get(host)
        if shown.state != State.FENCED.value or state is None or state.is_removed:
            return
        if state.state is not State.FENCED or state.token != shown.token:
            journal = f"{state.state.value} under {state.token}"
            self.found(f"the bus shows {host} as fenced under {shown.token}, the journal says {journal}")
