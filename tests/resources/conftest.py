"""Fixtures of the tests that need the platform's schema or S3."""

from tests._database import database, shared_database
from tests._s3 import aws_environment, bucket, moto_endpoint

__all__ = ["aws_environment", "bucket", "database", "moto_endpoint", "shared_database"]
