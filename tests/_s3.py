"""S3 by moto's server over HTTP, and buckets in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

REGION = "ap-northeast-2"


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


_bucket_numbers = itertools.count()


@pytest.fixture
def bucket(moto_endpoint: str, aws_environment: None) -> Any:
    """A new bucket with a separate client, which sees the store's effects from outside."""
    resource = boto3.resource("s3", region_name=REGION, endpoint_url=moto_endpoint)
    return resource.create_bucket(
        Bucket=f"reports-{next(_bucket_numbers)}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
