"""A Django project with nothing but django-oauth-toolkit and an API behind it."""

import json
import os
import secrets

from jwcrypto.jwk import JWK

# { "folder", "clients": [{ "id", "secret", "grant", "lifetime", "redirectUris", "openid" }], "users": [{ "username",
# "password" }] }
WANTED = json.loads(os.environ["PORTEIRO_E2E_SERVER"])

LIFETIMES = {client["id"]: client["lifetime"] for client in WANTED["clients"]}

SECRET_KEY = secrets.token_urlsafe()
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "oauth2_provider",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [os.path.dirname(__file__)],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
STATIC_URL = "static/"
LOGIN_URL = "/login/"
USE_TZ = True
LOGGING_CONFIG = None

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(WANTED["folder"], "django.sqlite3"),
        # Several threads write; a transaction that turns from reading to writing would fail at once.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The tables are made from the models at once: a hundred migrations take seconds.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None, "oauth2_provider": None}
# A slow hash would only cost time here.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

OAUTH2_PROVIDER = {
    "SCOPES": {"read": "Read", "write": "Write", "openid": "Who you are"},
    "OIDC_ENABLED": True,
    "OIDC_RSA_PRIVATE_KEY": JWK.generate(kty="RSA", size=2048).export_to_pem(True, None).decode(),
    "ROTATE_REFRESH_TOKEN": True,
    # A refresh token that comes twice ends all that came from the same sign-in.
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "EXTRA_SERVER_KWARGS": {"token_expires_in": lambda request: LIFETIMES[request.client.client_id]},
}
