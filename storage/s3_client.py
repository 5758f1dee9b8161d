"""A client of S3, and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from storage.settings import StorageSettings

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONNECT_S: Final = 3.0
SILENT_S: Final = 20.0
"""How long a server may say nothing."""

ATTEMPTS: Final = 3
REGION: Final = "us-east-1"
"""Where nobody names one: servers of one's own mostly have this one, or none."""

ABSENT: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
"""What a missing object answers to a HEAD, which has no body, and to all else, and what an upload that is gone."""


class S3Failed(OSError):
    """S3 could not be reached, or did not do what it was asked."""


class S3Refused(S3Failed, PermissionError):
    """S3 does not take the credentials, or does not allow them this."""


def connect(settings: StorageSettings, endpoint: str) -> "S3Client":
    """A client for this endpoint, or for AWS's own, with the credentials that boto3 finds. Nothing is asked yet."""
    session = boto3.session.Session()
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_S,
        read_timeout=SILENT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=settings.s3_connections,
        # A name in front of a server of one's own leads nowhere, unless its DNS was made for it.
        s3={"addressing_style": "path" if endpoint else "auto"},
        # boto3's own checksums by default come in a form that many servers do not read.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
    )
    region = settings.s3_region or session.region_name or REGION
    return session.client("s3", endpoint_url=endpoint or None, region_name=region, config=config)


def code_of(failure: ClientError) -> str:
    return failure.response.get("Error", {}).get("Code", "")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises FileNotFoundError, S3Refused or S3Failed in place of what boto3 raises."""
    try:
        yield
    except ClientError as failure:
        code, status = code_of(failure), failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in ABSENT:
            raise FileNotFoundError(f"there is no object {what!r}") from failure
        kind = S3Refused if status in (401, 403) else S3Failed
        raise kind(f"{what}: {failure}") from failure
    except (BotoCoreError, HTTPError) as failure:
        raise S3Failed(f"{what}: {failure}") from failure
