"""Imports all of a client that was generated of docs/reference/openapi.yaml, and prints the call that each operation makes.

python client.py FOLDER  prints [[METHOD, ADDRESS], …] of the package `client` in it
"""

import importlib
import inspect
import json
import pkgutil
import sys

ARGUMENTS = {
    "connection": "guru",
    "path": "x",
    "token": "the-account-token",
    "webhook_id": "msg_0",
    "callback": "acme",
    "state": "x",
    "secret": "x",
}
BODIES = {
    "SignIn": {"username": "ana", "password": "x"},
    "ConnectionSettings": {"provider": "custom", "rules": []},
    "ConnectionPatch": {"secrets": {"password": "x"}},
    "SignOutPersonBody": {"connection": "login", "subject": "x"},
    "RedeemTicketBody": {"ticket": "x", "verifier": "x"},
    "BackchannelLogoutBody": {"logout_token": "x"},
    "MakeConnectLinkBody": {},
}


def required(operation, models):
    """An argument for each parameter that has no default."""
    for name, parameter in inspect.signature(operation).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            continue
        if name == "body" and parameter.annotation is not dict:
            kind = getattr(parameter.annotation, "__name__", None)
            if kind not in BODIES and hasattr(parameter.annotation, "from_dict"):
                raise SystemExit(f"BODIES has no {kind}")
            yield name, parameter.annotation.from_dict(BODIES[kind]) if kind in BODIES else {}
        else:
            yield name, models.ProblemCode.BAD_PATH if name == "code" else ARGUMENTS[name]


def calls(folder):
    sys.path.insert(0, folder)
    client = importlib.import_module("client")
    models = importlib.import_module("client.models")
    for module in pkgutil.walk_packages(client.__path__, "client."):
        operation = importlib.import_module(module.name)
        if module.ispkg or not module.name.startswith("client.api."):
            continue
        assert callable(operation.sync_detailed) and callable(operation.asyncio_detailed), module.name
        sent = operation._get_kwargs(**dict(required(operation._get_kwargs, models)))
        yield sent["method"], sent["url"]


json.dump(list(calls(sys.argv[1])), sys.stdout)
