"""Another issuer of access tokens: its keys, tokens, and a web server with its JWKS.

Ed25519 (RFC 8032) is plain arithmetic here, RSA is left to openssl.
"""
import hashlib
import http.server
import json
import os
import subprocess
import tempfile
import threading

from accounts_case import encode_part

_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P


def _add(a, b):
    """Of two points in extended coordinates."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    g, h = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


_BY = 4 * pow(5, -1, _P) % _P
_BX = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE = (_BX, _BY, 1, _BX * _BY % _P)


def _multiply(number):
    """The base point that many times, as bytes."""
    point, base = (0, 1, 1, 0), _BASE
    while number:
        if number & 1:
            point = _add(point, base)
        base, number = _add(base, base), number >> 1
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


class Key:
    """An Ed25519 key with a kid."""
    algorithm = "EdDSA"

    def __init__(self, kid, seed=None):
        digest = hashlib.sha512(seed or os.urandom(32)).digest()
        self.kid = kid
        self._scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self._prefix = digest[32:]
        self.public = _multiply(self._scalar)

    def jwk(self):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_part(self.public), "kid": self.kid, "use": "sig"}

    def sign(self, data):
        r = int.from_bytes(hashlib.sha512(self._prefix + data).digest(), "little") % _Q
        first = _multiply(r)
        k = int.from_bytes(hashlib.sha512(first + self.public + data).digest(), "little")
        return first + ((r + k * self._scalar) % _Q).to_bytes(32, "little")

    def token(self, claims, **header):
        """A token of any claims; the header's members may be replaced."""
        head = encode_part({"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid} | header)
        signed = f"{head}.{encode_part(claims)}"
        return f"{signed}.{encode_part(self.sign(signed.encode()))}"


class RsaKey(Key):
    """An RSA key with a kid."""
    algorithm = "RS256"

    def __init__(self, kid):
        self.kid = kid
        self._file = tempfile.NamedTemporaryFile(prefix="prong-rsa-")
        self._file.write(self._openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
        self._file.flush()
        shown = self._openssl("rsa", "-in", self._file.name, "-noout", "-modulus").decode()
        self.modulus = bytes.fromhex(shown.strip().partition("=")[2])

    @staticmethod
    def _openssl(*arguments, **options):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options).stdout

    def jwk(self):
        return {"kty": "RSA", "n": encode_part(self.modulus), "e": "AQAB", "kid": self.kid, "use": "sig",
                "alg": self.algorithm}

    def sign(self, data):
        return self._openssl("dgst", "-sha256", "-sign", self._file.name, input=data)


class Issuer:
    """A web server on loopback that shows `keys`, or fails with `status`. `asked` counts its requests."""

    def __init__(self, *keys):
        self.keys, self.status, self.asked = list(keys), 200, 0
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                body = json.dumps({"keys": [key.jwk() for key in issuer.keys]}).encode()
                self.send_response(issuer.status)
                self.send_header("Content-Type", "application/jwk-set+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
