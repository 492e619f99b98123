#!/usr/bin/env python3
"""Sends notifications by mail to a server of another project, with and without encryption.

Usage: mail.py PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import email
import email.policy
import os
import ssl
import subprocess
import sys
import tempfile
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from harness import call, free_port, server

PASSWORD = "mail-password-0123456789"


class Mailbox:
    """Keeps mails, and refuses one address."""

    def __init__(self):
        self.mails = []
        self.arrived = threading.Condition()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("gone@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self.arrived:
            self.mails.append((envelope.rcpt_tos, mail, session.ssl is not None))
            self.arrived.notify_all()
        return "250 taken"

    def wait(self, number):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= number, timeout=60), "no mail arrived"
            return self.mails[number - 1]


def certificate(folder):
    """A certificate for localhost, and its file, which Quickdraw trusts in addition to the system's authorities."""
    file, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", key, "-out", file], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, key)
    return file, context


def authenticate(_server, _session, _envelope, _mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"quickdraw", PASSWORD.encode())
    return AuthResult(success=right)


def make_rule(base, *to):
    rule = {"name": "on call", "kinds": ["silent_mode"], "channel": "mail", "to": list(to)}
    return f"/api/v1/notifications/{call(base, 'POST', '/api/v1/notifications', rule)['id']}"


def notify(base, mailbox, by_starttls):
    """News arrives as a mail that another mail library reads."""
    rule = make_rule(base, "ida@example.com", "gone@example.com")
    sent = call(base, "POST", f"{rule}/test")
    assert sent["result"] == "sent" and "gone@example.com" in sent["error"], sent
    recipients, mail, was_by_starttls = mailbox.wait(1)
    assert recipients == ["ida@example.com"] and was_by_starttls == by_starttls
    assert mail["subject"] == "[Quickdraw] Test of a notification" and mail["from"].endswith("<quickdraw@example.com>")
    assert mail["auto-submitted"] == "auto-generated" and mail["message-id"] and mail["date"]
    assert mail.get_content_type() == "text/plain" and "This is a test." in mail.get_content()

    call(base, "PUT", "/api/v4/application/settings", {"silent_mode_enabled": True})
    _, mail, _ = mailbox.wait(2)
    assert "Silent mode is on: no webhook is called." in mail.get_content(), mail.get_content()
    call(base, "DELETE", rule)
    call(base, "PUT", "/api/v4/application/settings", {"silent_mode_enabled": False})


def run(program, database, mailbox, folder, tls):
    file, context = certificate(folder)
    options = {"implicit": {"ssl_context": context}, "required": {"tls_context": context, "require_starttls": True}}.get(tls, {})
    if tls != "none":
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls == "required"}
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    settings = {"QUICKDRAW__MAIL__HOST": "127.0.0.1", "QUICKDRAW__MAIL__PORT": str(port), "QUICKDRAW__MAIL__TLS": tls,
                "QUICKDRAW__MAIL__FROM": "Quickdräw <quickdraw@example.com>", "QUICKDRAW__DELIVERY__TLS_CA_FILE": file}
    if tls != "none":
        settings |= {"QUICKDRAW__MAIL__USER": "quickdraw", "QUICKDRAW__MAIL__PASSWORD": PASSWORD}
    with server(program, database, **settings) as base:
        notify(base, mailbox, tls == "required")
    controller.stop()
    print("mail", tls, "ok")


program, database = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
for tls in ("none", "required", "implicit"):
    with tempfile.TemporaryDirectory() as folder:
        run(program, database, Mailbox(), folder, tls)
