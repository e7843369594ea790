"""What tests of accounts stand on, beside harness.py: an application that people sign up to and sign in to.

    def setUpModule():
        MyCase.serve(WEB_CONCURRENCY=1)

    class MyCase(AccountsCase):
        \"\"\"What the tests share; no tests of its own.\"\"\"

    class MyTest(MyCase):
        def test_a_new_account(self):
            token = self.join("ada@example.com")
"""
import base64
import json
import unittest

from harness import App, Services, binary

PASSWORD = "correct horse battery"


def encode_part(data):
    """A part of a token: bytes as they are, anything else as JSON."""
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def header_of(token):
    return decode_part(token.split(".")[0])


def claims_of(token):
    return decode_part(token.split(".")[1])


def without_identity(response):
    """What two answers must share: all but the request's id and the time."""
    headers = {name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")}
    body = response.json() if response.body else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return response.status, headers, body


class AccountsCase(unittest.TestCase):
    services = app = None

    @classmethod
    def serve(cls, program="prong", **settings):
        """Starts what all tests of the module share; for setUpModule()."""
        cls.services = Services()
        unittest.addModuleCleanup(cls.services.stop)
        cls.app = App(binary(program), cls.services, **settings)
        unittest.addModuleCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.app.start()

    def other_app(self, program="prong", **settings):
        """Another process tree on the same services, beside the first; it is not started yet."""
        app = App(binary(program), self.services, **settings)
        self.addCleanup(app.stop)
        return app

    def serve_apart(self, program="prong", **settings):
        """An application with services that no other test uses, because this one breaks them. Returns both."""
        services = Services()
        self.addCleanup(services.stop)
        app = App(binary(program), services, **settings)
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        return services, app.start()

    def sign_up(self, address, password=PASSWORD, app=None, **fields):
        return (app or self.app).post("/v1/accounts", {"email": address, "password": password, **fields})

    def sign_in(self, address, password=PASSWORD, app=None, headers=None, **fields):
        return (app or self.app).post("/v1/sessions", {"email": address, "password": password, **fields},
                                      headers=headers)

    def session(self, address, *arguments, **options):
        """As sign_in(), of somebody who is let in; returns what the answer says."""
        response = self.sign_in(address, *arguments, **options)
        self.assertEqual(response.status, 201, response)
        return response.json()

    def token(self, address, *arguments, **options):
        return self.session(address, *arguments, **options)["access_token"]

    def join(self, address, app=None):
        """A new account, signed in; returns its access token."""
        response = self.sign_up(address, app=app)
        self.assertEqual(response.status, 201, response)
        return self.token(address, app=app)

    def assert_problem(self, response, status, code):
        self.assertEqual((response.status, response.headers["content-type"]), (status, "application/problem+json"),
                         response)
        self.assertEqual(response.json()["code"], code)
