"""A bucket that is there, may be used, and forgets what nobody deleted."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from storage.s3_bucket import Bucket
from storage.s3_client import REGION, S3Failed, code_of, translated

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import LifecycleRuleUnionTypeDef

EXPIRING: Final[Mapping[str, int]] = {"idempotent": 2, "jobs": 2, "media": 9, "replies": 9}
"""After how many days S3 itself deletes what lies below these names: the net beneath the list of what is due.

Each is more than the longest that anything below it is promised: a day until a job's deadline, a day for an answer to
be asked for again, a week after the end for what a row or a reply in the log keeps.
"""

UPLOAD_DAYS: Final = 1
NO_BUCKET: Final = frozenset({"404", "NoSuchBucket"})
NO_RULES: Final = "NoSuchLifecycleConfiguration"

log = logging.getLogger(__name__)


def have_bucket(bucket: Bucket) -> None:
    """Makes the bucket if there is none. Raises S3Refused when this is not allowed, or the bucket somebody else's."""
    with translated(f"the bucket '{bucket.name}'"):
        try:
            bucket.client.head_bucket(Bucket=bucket.name)
        except ClientError as failure:
            if code_of(failure) not in NO_BUCKET:
                raise
            region = bucket.client.meta.region_name
            if region == REGION:
                bucket.client.create_bucket(Bucket=bucket.name)
            else:
                bucket.client.create_bucket(
                    Bucket=bucket.name,
                    CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                )
            log.info("bucket_made", extra={"bucket": bucket.name, "region": region})


def have_rules(bucket: Bucket) -> None:
    """Adds our lifecycle rules to those that the bucket has, unless it has ours. A server without any is logged."""
    try:
        with translated("the bucket's lifecycle"):
            there, own = _rules_there(bucket), rules(bucket.prefix)
            if any(rule not in there for rule in own):
                names = {rule.get("ID") for rule in own}
                others = [rule for rule in there if rule.get("ID") not in names]
                bucket.client.put_bucket_lifecycle_configuration(
                    Bucket=bucket.name, LifecycleConfiguration={"Rules": [*others, *own]}
                )
                log.info("bucket_lifecycle_set", extra={"bucket": bucket.name})
    except S3Failed as failure:
        log.warning("no_bucket_lifecycle", extra={"bucket": bucket.name, "reason": str(failure)})


def rules(prefix: str) -> "list[LifecycleRuleUnionTypeDef]":
    """What S3 is to delete by itself; they are named by the prefix, since two platforms may share a bucket."""
    expiring: list[LifecycleRuleUnionTypeDef] = [
        {
            "ID": f"penstock:{prefix}{name}",
            "Filter": {"Prefix": f"{prefix}{name}/"},
            "Status": "Enabled",
            "Expiration": {"Days": days},
        }
        for name, days in EXPIRING.items()
    ]
    left: LifecycleRuleUnionTypeDef = {
        "ID": f"penstock:{prefix}uploads",
        "Filter": {"Prefix": prefix},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }
    return [*expiring, left]


def _rules_there(bucket: Bucket) -> "list[LifecycleRuleUnionTypeDef]":
    try:
        return [*bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]]
    except ClientError as failure:
        if code_of(failure) != NO_RULES:
            raise
        return []
