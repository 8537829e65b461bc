"""Makes the bucket of the settings if it is not there."""

import os

import boto3

client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"])
names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
if os.environ["S3_BUCKET"] not in names:
    client.create_bucket(Bucket=os.environ["S3_BUCKET"])
