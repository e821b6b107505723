"""Serves the project on a free port of 127.0.0.1, prints its address, and ends with its standard input."""

import os
import sys
import threading

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402

GRANTS = {
    "password": Application.GRANT_PASSWORD,
    "client_credentials": Application.GRANT_CLIENT_CREDENTIALS,
    "authorization_code": Application.GRANT_AUTHORIZATION_CODE,
}


def fill():
    call_command("migrate", run_syncdb=True, verbosity=0)
    for user in settings.WANTED["users"]:
        User.objects.create_user(user["username"], password=user["password"])
    for client in settings.WANTED["clients"]:
        Application.objects.create(
            client_id=client["id"],
            client_secret=client["secret"],
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=GRANTS[client["grant"]],
            redirect_uris=" ".join(client.get("redirectUris", [])),
            algorithm=Application.RS256_ALGORITHM if client.get("openid") else Application.NO_ALGORITHM,
        )


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
fill()
server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
server.set_app(get_wsgi_application())
print(f"Ready on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
