"""Measures what it costs Prong to know who is asking: a signed-in GET beside the same public one, and beside Fastify's."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import tempfile
import time
import uuid

from harness import Services
import sign_ins
from servers import TOP, Server, compare, migrate, node_folder, prong

PROGRAM = "accounts_app"
CREDENTIALS = {"email": "ada@example.com", "password": "violet tractor humming northward"}
SECRET = "a secret of the bench, 32 bytes or more"


def sign_in(server):
    server.ask("/v1/accounts", CREDENTIALS)
    session = json.loads(server.ask("/v1/sessions", CREDENTIALS))
    server.headers["Authorization"] = f"Bearer {session['access_token']}"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_token(server):
    """With the claims that ours have, signed as @fastify/jwt does by default: HMAC is cheaper to verify than Ed25519."""
    now, issuer = int(time.time()), f"http://127.0.0.1:{server.port}"
    claims = {"iss": issuer, "aud": issuer, "sub": str(uuid.uuid4()), "sid": str(uuid.uuid4()), "jti": str(uuid.uuid4()),
              "epoch": 0, "auth_time": now, "iat": now, "exp": now + 3600}
    parts = [base64url(json.dumps(part, separators=(",", ":")).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    mac = hmac.digest(SECRET.encode(), ".".join(parts).encode(), hashlib.sha256)
    server.headers["Authorization"] = f"Bearer {'.'.join(parts)}.{base64url(mac)}"


def measure_requests(options, services, folder):
    fastify = os.path.join(TOP, "tests", "bench", "peers", "fastify.js")
    return compare("accounts", [
        prong(options.build, services, "/json", "public", PROGRAM, PRONG_SECRET=SECRET),
        prong(options.build, services, "/own", "signed in", PROGRAM, sign_in, PRONG_SECRET=SECRET, TOKEN_LIFETIME="1h"),
        Server("Fastify + jwt", ["node", fastify], {"NODE_PATH": node_folder(), "JWT_SECRET": SECRET}, "/own", make_token),
    ], folder, options)


def measure(options):
    with tempfile.TemporaryDirectory(prefix="prong-bench-") as folder, contextlib.ExitStack() as stack:
        services = Services(tcp=True)
        stack.callback(services.stop)
        migrate(options.build, services, folder, PROGRAM)
        return {"requests": measure_requests(options, services, folder),
                "sign_ins": sign_ins.measure(options, services, folder, PROGRAM, SECRET)}
