"""Delivery of a digest: e-mail by SMTP, and a webhook that gets the JSON document."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from kb.errors import KBError
from kb.jobs.digest.digest import Digest
from kb.jobs.digest.digest_text import digest_text, subject
from kb.settings import Settings
from kb.types.safe_text import web_address

TIMEOUT_S = 30.0


def channels(settings: Settings) -> tuple[str, ...]:
    """Return the ways by which the settings send a digest: `email`, `webhook`."""
    ways = {
        "email": settings.digest_email.strip(),
        "webhook": settings.digest_webhook.get_secret_value(),
    }
    return tuple(name for name, value in ways.items() if value)


def send(settings: Settings, digest: Digest, way: str) -> None:
    """Send a digest. Raises KBError with the cause; it contains no password and no address."""
    if way == "email":
        _send_email(settings, digest)
    else:
        _send_webhook(settings.digest_webhook.get_secret_value(), digest)


def _send_email(settings: Settings, digest: Digest) -> None:
    if not settings.smtp_host:
        raise KBError(
            "digest.no_server",
            "The digest cannot be sent as e-mail: no server is set.",
            hint="Set KB_SMTP_HOST, or leave KB_DIGEST_EMAIL empty.",
        )
    try:
        send_mail(settings, settings.digest_email, subject(digest), digest_text(digest))
    except MailRefused as error:
        raise KBError(
            "digest.email_refused",
            "The digest could not be sent as e-mail by {host}: {reason}",
            hint="Check KB_SMTP_HOST, KB_SMTP_PORT, KB_SMTP_SECURITY, KB_SMTP_USER and "
            "KB_SMTP_PASSWORD; try it with: kb digest --send",
            host=f"{settings.smtp_host}:{settings.smtp_port}",
            reason=str(error),
        ) from None


class MailRefused(Exception):
    """A mail server did not take an e-mail; the text says why, without password and address."""


def send_mail(settings: Settings, to: str, about: str, body: str) -> None:
    """Send an e-mail to the addresses in `to`, separated by commas. Raises MailRefused."""
    message = EmailMessage()
    message["Subject"] = about
    message["From"] = settings.smtp_from or settings.smtp_user or f"kb-ingest@{settings.smtp_host}"
    message["To"] = ", ".join(part.strip() for part in to.split(","))
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=settings.smtp_host)
    message.set_content(body)
    try:
        with _connection(settings) as server:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise MailRefused(_reason(error)) from None


def _connection(settings: Settings) -> smtplib.SMTP:
    place = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(*place, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(*place, timeout=TIMEOUT_S)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the sign-in was refused ({error.smtp_code})"  # its text may quote the password
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        return f"{error.smtp_code} {words}"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _send_webhook(address: str, digest: Digest) -> None:
    if not web_address(address):
        raise KBError(
            "digest.webhook_address",
            "KB_DIGEST_WEBHOOK is no address of the web.",
            hint="It looks like https://hooks.example.org/kb",
        )
    import requests  # slow to import, and needed once a day at most

    try:
        answer = requests.post(
            address, json=digest, timeout=TIMEOUT_S, allow_redirects=False, stream=True
        )
    except requests.RequestException as error:
        raise _webhook_refused(type(error).__name__) from None
    status = answer.status_code
    answer.close()
    if not 200 <= status < 300:
        raise _webhook_refused(f"HTTP {status}")


def _webhook_refused(reason: str) -> KBError:
    # The address is not named: it often has a key in it.
    return KBError(
        "digest.webhook_refused",
        "The webhook did not take the digest: {reason}.",
        hint="Check KB_DIGEST_WEBHOOK; try it with: kb digest --send",
        reason=reason,
    )
