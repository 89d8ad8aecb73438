"""Three hosts, a client and etcd, each with an address of its own on a network."""

from pathlib import Path

from etcd_server import EtcdServer
from hosts import Cluster, ConsoleClient, ServingHost
from namespaces import Network

from ftvm.runtime import security
from ftvm.runtime.addresses import parse_address
from ftvm.runtime.key_file import generate_key
from ftvm.ui.host_answers import HostAnswer, ask

HOSTS = (1, 2, 3)
CLIENT, OURSELVES = 4, 254
PORT = 7000


class Site:
    """Use `close` at the end; the network is the caller's."""

    def __init__(self, network: Network, home: Path) -> None:
        self.network = network
        self.places = [f"{network.address(host)}:{PORT}" for host in HOSTS]
        self.etcd = EtcdServer(home / "etcd", network.address(OURSELVES))
        inside = {}
        for host in (*HOSTS, CLIENT):
            inside[network.address(host)] = network.inside(host)
            inside[network.address6(host)] = network.inside(host)
        key = generate_key()
        key_file = home / "pair.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key.hex())
        self._security = security.from_key(key)
        self.cluster = Cluster(
            home,
            self.etcd.url,
            ("--key-file", str(key_file)),
            lambda address: inside[address.removesuffix(f":{PORT}").strip("[]")],
        )

    def close(self) -> None:
        self.cluster.close()
        self.etcd.kill()

    def serve(self, host: int, image: Path) -> ServingHost:
        return self.cluster.serve(self.places[host - 1], image)

    def join(self, host: int) -> ServingHost:
        return self.cluster.join(self.places[host - 1], *self.places)

    def console(self) -> ConsoleClient:
        return self.cluster.console(*self.places, at=self.network.address(CLIENT))

    def ask(self) -> list[HostAnswer]:
        """Ask all hosts how they are, without a process for it."""
        return ask([parse_address(place) for place in self.places], self._security)
