"""An authorization server with OpenID Connect on Authlib and Flask, with all in memory, and an API behind it: serves on a
free port of 127.0.0.1, prints its address, and ends with its standard input."""

import json
import os
import sys
import threading
import time

# The tests speak plain http on this machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector  # noqa: E402
from authlib.oauth2 import OAuth2Error  # noqa: E402
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin, grants  # noqa: E402
from authlib.oauth2.rfc6749.util import list_to_scope, scope_to_list  # noqa: E402
from authlib.oauth2.rfc6750 import BearerTokenValidator  # noqa: E402
from authlib.oauth2.rfc7009 import RevocationEndpoint  # noqa: E402
from authlib.oauth2.rfc7636 import CodeChallenge  # noqa: E402
from authlib.oauth2.rfc9207 import IssuerParameter  # noqa: E402
from authlib.oidc.core import UserInfo  # noqa: E402
from authlib.oidc.core.grants import OpenIDCode  # noqa: E402
from flask import Flask, jsonify, redirect, request, session  # noqa: E402
from joserfc.jwk import RSAKey  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

# { "clients": [{ "id", "secret", "auth", "lifetime", "redirectUris" }], "users": [{ "username", "password" }] }
WANTED = json.loads(os.environ["PORTEIRO_E2E_SERVER"])
USERS = {user["username"]: user["password"] for user in WANTED["users"]}
SCOPES = ["openid", "email", "read", "write"]
KEY = RSAKey.generate_key(2048, parameters={"kid": "authlib", "use": "sig", "alg": "RS256"})
CODES, TOKENS = {}, []

app = Flask(__name__)
app.secret_key = os.urandom(32)


def issuer():
    return f"http://127.0.0.1:{listener.server_port}"


class User:
    def __init__(self, name):
        self.name = name

    def get_user_id(self):
        return self.name


class Client(ClientMixin):
    def __init__(self, fields):
        self.fields = fields
        self.client_id = fields["id"]

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return list_to_scope([one for one in scope_to_list(scope) or [] if one in SCOPES])

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.fields["redirectUris"]

    def check_client_secret(self, client_secret):
        return client_secret == self.fields["secret"]

    def check_endpoint_auth_method(self, method, endpoint):
        return method == {"post": "client_secret_post", "basic": "client_secret_basic"}[self.fields["auth"]]

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token")


class Code(AuthorizationCodeMixin):
    def __init__(self, code, user, payload, scope):
        self.code, self.user, self.scope = code, user, scope
        self.client_id, self.redirect_uri = payload.client_id, payload.redirect_uri
        self.nonce = payload.data.get("nonce")
        self.code_challenge = payload.data.get("code_challenge")
        self.code_challenge_method = payload.data.get("code_challenge_method")
        self.auth_time = int(time.time())

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return self.auth_time

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class Token(TokenMixin):
    def __init__(self, client, user, fields):
        self.client, self.user, self.fields = client, user, fields
        self.issued_at, self.is_gone = time.time(), False

    def check_client(self, client):
        return self.client.client_id == client.client_id

    def get_scope(self):
        return self.fields["scope"]

    def get_expires_in(self):
        return self.fields["expires_in"]

    def is_expired(self):
        return time.time() > self.issued_at + self.fields["expires_in"]

    def is_revoked(self):
        return self.is_gone

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client


CLIENTS = {fields["id"]: Client(fields) for fields in WANTED["clients"]}


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def save_authorization_code(self, code, request):
        CODES[code] = Code(code, request.user, request.payload, request.scope)

    def query_authorization_code(self, code, client):
        found = CODES.get(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code):
        del CODES[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return User(authorization_code.user.name)


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return next((one for one in TOKENS if one.fields.get("refresh_token") == refresh_token and not one.is_gone), None)

    def authenticate_user(self, credential):
        return credential.user

    def revoke_old_credential(self, credential):
        credential.is_gone = True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def query_token(self, token_string, token_type_hint):
        return next((one for one in TOKENS if token_string in (one.fields["access_token"], one.fields.get("refresh_token"))), None)

    def revoke_token(self, token, request):
        token.is_gone = True


class OpenId(OpenIDCode):
    def exists_nonce(self, nonce, request):
        return any(code.nonce == nonce for code in CODES.values())

    def resolve_client_private_key(self, client):
        return KEY

    def get_encode_header(self, client):
        return {"alg": "RS256", "kid": KEY.kid}

    def get_client_algorithm(self, client):
        return "RS256"

    def get_client_claims(self, client):
        return {"iss": issuer(), "aud": [client.client_id]}

    def generate_user_info(self, user, scope):
        return UserInfo(sub=f"id-of-{user.name}", email=user.name, email_verified=True)


class Issuer(IssuerParameter):
    def get_issuer(self):
        return issuer()


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string):
        return next((one for one in TOKENS if one.fields["access_token"] == token_string), None)


def expires_in(client, grant_type):
    return client.fields["lifetime"]


def save(token, request):
    TOKENS.append(Token(request.client, request.user, dict(token)))


app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_SCOPES_SUPPORTED"] = SCOPES
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save)
server.register_grant(CodeGrant, [CodeChallenge(required=True), OpenId(require_nonce=True)])
server.register_grant(RefreshGrant)
server.register_endpoint(Revocation)
server.register_extension(Issuer())
server._token_generators["default"].expires_generator = expires_in
require_oauth = ResourceProtector()
require_oauth.register_token_validator(Validator())


def page(form):
    return f"<!doctype html><title>Authlib</title><form method=post>{form}</form>"


@app.route("/oauth/authorize", methods=["GET", "POST"])
def authorize():
    name = session.get("name")
    if name is None and "username" in request.form:
        if USERS.get(request.form["username"]) == request.form["password"]:
            session["name"] = request.form["username"]
            return redirect(request.url)
        return page("Wrong. <input name=username><input name=password type=password><button>Sign in</button>"), 401
    if name is None:
        return page("<input name=username><input name=password type=password><button>Sign in</button>")
    user = User(name)
    if request.method == "GET":
        try:
            grant = server.get_consent_grant(end_user=user)
        except OAuth2Error as error:
            return server.handle_error_response(server.create_oauth2_request(None), error)
        return page(f"{grant.client.client_id} wants {grant.request.payload.scope}. <button name=allow value=yes>Allow</button>")
    allowed = user if request.form.get("allow") == "yes" else None
    grant = server.get_consent_grant(end_user=user)
    return server.create_authorization_response(grant=grant, grant_user=allowed)


@app.route("/oauth/token", methods=["POST"])
def token():
    return server.create_token_response()


@app.route("/oauth/revoke", methods=["POST"])
def revoke():
    return server.create_endpoint_response("revocation")


@app.route("/.well-known/openid-configuration")
def metadata():
    return jsonify(
        issuer=issuer(),
        authorization_endpoint=f"{issuer()}/oauth/authorize",
        token_endpoint=f"{issuer()}/oauth/token",
        revocation_endpoint=f"{issuer()}/oauth/revoke",
        jwks_uri=f"{issuer()}/jwks",
        response_types_supported=["code"],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
    )


@app.route("/jwks")
def jwks():
    return jsonify(keys=[KEY.as_dict(private=False)])


@app.route("/api/me")
@require_oauth("read")
def me():
    from authlib.integrations.flask_oauth2 import current_token

    return jsonify(user=current_token.user.name)


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
listener = make_server("127.0.0.1", 0, app, threaded=True)
print(f"Ready on http://127.0.0.1:{listener.server_port}", flush=True)
listener.serve_forever()
