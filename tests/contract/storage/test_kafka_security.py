"""Every client of Kafka over TLS with a certificate of our own making, and by name and password."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from penstock.part import start_part
from schemas.errors import InvalidValue, Undecidable
from schemas.topics import HOUR_MS, TopicSpec, platform_topics
from storage.group import GroupView
from storage.kafka import LogProducer
from storage.kafka_security import Kafka, Mechanism
from storage.lane_consumer import LaneConsumer
from storage.local.kafka import KafkaNode
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from storage.migrate import migrate
from storage.settings import StorageSettings
from storage.topics import make_topics

SCRAM: Mechanism = "SCRAM-SHA-512"
PLAIN: Mechanism = "PLAIN"
LOGIN = "org.apache.kafka.common.security"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """An authority's certificate, and a server's for 127.0.0.1 with its key, both in PEM."""
    now = datetime.now(UTC)

    def signed(name: str, of: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        )
        return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(signed("authority", authority, authority, ca=True))
    key = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server_file.write_bytes(key + signed("127.0.0.1", server, authority, ca=False))
    return ca_file, server_file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    folder = tmp_path_factory.mktemp("secured")
    ca_file, server_file = make_certificate(folder)
    port = free_port()
    settings = {
        "listeners": "PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},"
        f"SECURED://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
        "listener.name.secured.ssl.keystore.type": "PEM",
        "listener.name.secured.ssl.keystore.location": str(server_file),
        "listener.name.secured.sasl.enabled.mechanisms": f"{PLAIN},{SCRAM}",
        "listener.name.secured.plain.sasl.jaas.config": f'{LOGIN}.plain.PlainLoginModule required user_penstock="pw";',
        "listener.name.secured.scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
    }
    scram = ("--add-scram", "SCRAM-SHA-512=[name=penstock,password=pw]")
    node = KafkaNode(kafka_program, folder / "kafka", settings=settings, format_with=scram)
    child = await node.start()
    try:
        await make_topics(node.bootstrap, platform_topics([], lane_partitions=1))
        yield Kafka(f"127.0.0.1:{port}", "sasl_ssl", SCRAM, "penstock", "pw", str(ca_file))
    finally:
        await child.stop(5)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mechanism", [PLAIN, SCRAM])
async def test_every_client_comes_in_by_name_over_tls(secured: Kafka, mechanism: Mechanism) -> None:
    kafka = replace(secured, mechanism=mechanism)
    topic, group = f"test.secured-{mechanism}", f"group-{mechanism}"
    assert await make_topics(kafka, [TopicSpec(topic, 1, HOUR_MS)]) == [f"{topic}: made, 1 partitions"]
    producer = LogProducer(kafka, "test")
    await producer.open()
    await producer.publish(topic, b"hello")
    consumer = LaneConsumer(kafka, topic, group, None)
    await consumer.open()
    (taken,) = await consumer.take(1)
    assert taken.value == b"hello"
    view = GroupView(kafka, group, topic)
    await view.open()
    assert await view.lag([0]) == {0: 1}
    consumer.done(taken)
    assert await consumer.commit() == {0: 1}
    assert await view.lag([0]) == {0: 0}
    await asyncio.gather(consumer.close(), view.close(), producer.close())


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_password_and_a_strange_certificate_are_refused(secured: Kafka, tmp_path: Path) -> None:
    stranger, _ = make_certificate(tmp_path)
    for wrong in (replace(secured, password="guess"), replace(secured, ca_file=str(stranger))):
        with pytest.raises(Undecidable):
            await make_topics(wrong, [TopicSpec("test.never", 1, HOUR_MS)])
        with pytest.raises(Undecidable):
            await LogProducer(wrong, "test").open()


@pytest.mark.asyncio(loop_scope="module")
async def test_streams_comes_in_by_name_over_tls(secured: Kafka, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/penstock.db"
    await asyncio.to_thread(migrate, database)
    environment = {
        "PENSTOCK_KAFKA": secured.bootstrap,
        "PENSTOCK_KAFKA_SECURITY": secured.security,
        "PENSTOCK_KAFKA_SASL_MECHANISM": secured.mechanism,
        "PENSTOCK_KAFKA_USERNAME": secured.username,
        "PENSTOCK_KAFKA_PASSWORD": secured.password,
        "PENSTOCK_KAFKA_CA_FILE": secured.ca_file,
        "PENSTOCK_DATABASE": database,
    }
    child = await start_part("streams", ("-m", "streams"), tmp_path / "streams.log", environment)
    await child.stop(5)


def test_the_environment_says_how_kafka_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_KAFKA", "kafka.example:9093")
    monkeypatch.setenv("PENSTOCK_KAFKA_SECURITY", "sasl_ssl")
    monkeypatch.setenv("PENSTOCK_KAFKA_USERNAME", "penstock")
    monkeypatch.setenv("PENSTOCK_KAFKA_PASSWORD", "pw")
    cluster = StorageSettings().cluster
    assert cluster == Kafka("kafka.example:9093", "sasl_ssl", "SCRAM-SHA-512", "penstock", "pw")
    assert "pw" not in repr(cluster)


def test_certificates_that_are_not_there_are_named() -> None:
    with pytest.raises(InvalidValue, match=r"/no/such/ca\.pem"):
        Kafka("127.0.0.1:9093", "ssl", ca_file="/no/such/ca.pem").options()
