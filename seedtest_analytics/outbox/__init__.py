"""Sends the messages of the outbox: reference senders by SMTP and by webhook."""
