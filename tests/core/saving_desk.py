"""A desk for tests of power saving: eight hosts with a BMC each, of which the test says how many workloads each has."""

from collections.abc import Sequence

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.model.answers import Accepted
from fenced.model.names import HostName
from fenced.model.power import Action, Power, What
from tests.core.desk import CALM_PACE_SECONDS, FOR_EVER, NODE, Desk, said
from tests.world.rack import Rack, Setting

HOSTS = tuple(f"node-{number}" for number in range(1, 9))
BMC = "bmc"
VETO_SECONDS, SOFT_SECONDS = 30.0, 600.0


def rack(**settings: Setting) -> Rack:
    """Return a rack that saves; `settings` of `[saving]` by their names in the model."""
    given: dict[str, Setting] = {
        "saving.is_enabled": True, "saving.idle_for_seconds": 60.0, "saving.proven_on_seconds": 0.0,
    } | {(key if "." in key else f"saving.{key}"): value for key, value in settings.items()}  # fmt: skip
    return Rack(hosts=HOSTS, devices=(f"{BMC}:1",), settings=given)


class SavingDesk(Desk):
    """A desk whose hosts say how many workloads they have; None: they don't say."""

    def __init__(self, plan: Rack | None = None, **settings: Setting) -> None:
        self.work: dict[HostName, int | None] = dict.fromkeys(map(HostName, HOSTS), 0)
        self.asleep: set[HostName] = set()
        super().__init__(plan or rack(**settings))

    def go(self, seconds: float, *, silent: Sequence[HostName] = (), pace: float = 1.0) -> None:
        super().go(seconds, silent=(*silent, *self.asleep), pace=pace)

    def beat(self, name: HostName = NODE, **given: object) -> object:  # type: ignore[override]
        return super().beat(name, **({"workloads": self.work[name]} | given))  # type: ignore[arg-type]

    def live(self, seconds: float, *, silent: Sequence[HostName] = ()) -> None:
        """Let time pass with devices that answer everything but a soft off, which the test answers."""
        end = self.now + seconds
        while self.now < end:
            if not self.serve_one():
                self.go(min(0.5, end - self.now), silent=silent)

    def serve_one(self) -> bool:
        asked = [it for it in self.waiting(c.SwitchDevice) if it.what is What.SOFT_OFF]
        self.pending = [it for it in self.pending if it not in asked]
        is_served = super().serve_one()
        self.pending = [*asked, *self.pending]
        return is_served

    def busy(self, *names: str) -> None:
        """Give all hosts but these some work."""
        self.work = {name: 0 if name in names else 3 for name in self.work}

    def is_now(self, name: str) -> str:
        """Return the state of a host."""
        return self.fleet.hosts[HostName(name)].state.value

    def going(self) -> list[str]:
        """Return the hosts that are being put to sleep."""
        running = ((name, state.operation) for name, state in self.fleet.hosts.items())
        return sorted(str(name) for name, it in running if it is not None and it.action is Action.SLEEP)

    def obey(self, name: str) -> None:
        """The host shuts down: it is silent, and its BMC reads OFF."""
        self.asleep.add(HostName(name))
        self.powers[(HostName(name), self.inventory.hosts[HostName(name)].devices[0].name)] = Power.OFF

    def stop(self, name: str) -> None:
        """The host says that it stops, and goes down."""
        self.beat(HostName(name), status=e.HealthStatus.STOPPING, workloads=0)
        self.obey(name)

    def boot(self, name: str, boot: str = "b2") -> None:
        """The host runs again."""
        self.asleep.discard(HostName(name))
        self.boots[HostName(name)] = boot
        self.set_power(Power.ON, BMC, name=HostName(name))

    def until_asked(self, seconds: float = 300.0) -> c.SwitchDevice:
        """Let time pass until a host is asked to shut down; return the command, unanswered."""
        end = self.now + seconds
        while self.now < end:
            if found := [it for it in self.waiting(c.SwitchDevice) if it.what is What.SOFT_OFF]:
                return found[0]
            if not self.serve_one():
                self.go(0.5)
        raise AssertionError(f"nobody was asked to shut down; {self.told[-20:]}")

    def until_announced(self) -> HostName:
        """Let time pass until the sleep of a host is announced; return the host."""
        while not self.going() or "host.sleep_announced" not in self.told:
            if not self.serve_one():
                self.go(0.5)
        return HostName(self.going()[0])

    def say(self, name: HostName, kind: str, *, source: str = "scheduler", is_alive: bool = True) -> None:
        """Have another system say something of a host, for a minute."""
        self.do(
            e.Evidence(
                host=name, received=self.now, is_retained=False, source=source, evidence_kind=kind,
                is_alive=is_alive, ttl_seconds=60.0,
            )
        )  # fmt: skip

    def put_to_sleep(self, seconds: float = 600.0) -> HostName:
        """Let a host fall asleep, as an obedient one does; return it."""
        name = self.until_asked(seconds).host
        self.switched(BMC)
        self.obey(name)
        self.live(60.0)
        assert self.is_now(name) == "sleeping", (self.is_now(name), self.told[-10:])
        return name

    def crash(self, *, down: float = 5.0) -> None:
        """Start the daemon again over its journal: it forgets what it heard, asked and waited for."""
        self.now += down
        self.fleet = Fleet(self.inventory, epoch=self.fleet.epoch + 1, started=self.now)
        for entry in self.entries:
            self.fleet.apply(entry)
        self.pending, self.wakes, self.gates_looked_at = [], [], 0.0
        self.do(e.LeaseRenewed(until=FOR_EVER))
        self.do(e.Started())
        self.do(e.BusConnected(at=self.now))

    def wanted(self, hosts: int = 1, cluster: str = "c1") -> str:
        """Request a wake; return `accepted N short S`, or `refused RULE`."""
        answer = self.do(e.WakeAsked(cluster=cluster, hosts=hosts, by="person", reason="told")).answer
        if isinstance(answer, Accepted):
            return f"accepted {len(answer.hosts)} short {answer.short}"
        return said(answer)


__all__ = ["BMC", "CALM_PACE_SECONDS", "HOSTS", "SOFT_SECONDS", "VETO_SECONDS", "SavingDesk", "rack"]
