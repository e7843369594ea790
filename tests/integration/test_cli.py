"""The command line: help, settings, and what it says and returns when something is missing or wrong."""
import json
import socket
import subprocess
import unittest

from harness import App, Services, binary, free_port

COMMANDS = ["dev", "serve", "work", "migrate", "accounts", "jobs", "queues", "schedules", "config", "routes", "version"]
SECRET = "hunter2"


class CommandTest(unittest.TestCase):
    def run_command(self, *arguments, **settings):
        return self.app.command(*arguments, check=False, **settings)

    def assert_mistake(self, done, status, *texts):
        """One exit status, every mistake on standard error, nothing on standard output."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in texts:
            self.assertIn(text, done.stderr)
        self.assertNotIn(SECRET, done.stderr)


class WithoutServices(CommandTest):
    def setUp(self):
        self.app = App(binary("prong"))
        self.addCleanup(self.app.stop)

    def test_help_lists_every_command(self):
        for arguments in (["--help"], ["-h"], ["help"]):
            done = self.run_command(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command in COMMANDS:
                self.assertRegex(done.stdout, rf"(?m)^  {command} +\S")

    def test_every_command_has_help(self):
        for command in COMMANDS:
            done = self.run_command(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertIn(f"Usage: prong {command}", done.stdout)

    def test_the_name_is_that_of_the_program(self):
        link = self.app.folder / "notes"
        link.symlink_to(self.app.program)
        done = subprocess.run([link, "--help"], capture_output=True, text=True, timeout=30)
        self.assertIn("Usage: notes COMMAND", done.stdout)

    def test_wrong_usage_is_64(self):
        self.assert_mistake(self.run_command(), 64, "Usage: prong COMMAND")
        self.assert_mistake(self.run_command("bogus"), 64, "unknown command 'bogus'", "prong --help")
        self.assert_mistake(self.run_command("--bogus"), 64, "unknown option '--bogus'")
        for command in COMMANDS:
            self.assert_mistake(self.run_command(command, "--bogus"), 64, "'--bogus'", f"prong {command} --help")
        for command in ("dev", "serve", "work", "config", "routes", "version"):
            self.assert_mistake(self.run_command(command, "more"), 64, "'more' is one argument too many")

    def test_wrong_usage_comes_before_wrong_settings(self):
        self.assert_mistake(self.run_command("serve", "--bogus", PORT="x"), 64, "'--bogus'")

    def test_version(self):
        self.assertRegex(self.run_command("version").stdout, r"^prong \S+ \(Prong \S+\)\n$")
        self.assertEqual(self.run_command("--version").stdout, self.run_command("version").stdout)
        self.assertEqual(json.loads(self.run_command("version", "--json").stdout)["name"], "prong")

    def test_routes(self):
        self.assertRegex(self.run_command("routes").stdout, r"(?m)^POST +/v1/accounts +public ")
        routes = {(route["method"], route["path"]): route for route in json.loads(self.run_command("routes", "--json").stdout)}
        self.assertEqual(routes["GET", "/v1/account"]["access"], "signed in")
        self.assertEqual(routes["POST", "/v1/account/api-keys"]["access"], "signed in, recent")
        self.assertIsNone(routes["GET", "/health/live"]["body"])

    def test_config_names_sources_and_hides_secrets(self):
        (self.app.folder / ".env").write_text("HOST=::1\nPORT=1\nexport LOG_LEVEL='debug' # loud\n")
        (self.app.folder / "url").write_text(f"postgresql://ada:{SECRET}@localhost/ada\n")
        done = self.run_command("config", "--json", PORT=4000, DATABASE_URL_FILE="url",
                                REDIS_URL=f"redis://:{SECRET}@localhost")
        found = {value["name"]: value for value in json.loads(done.stdout)}
        self.assertEqual((found["PORT"]["value"], found["PORT"]["source"]), ("4000", "environment"))
        self.assertEqual((found["LOG_LEVEL"]["value"], found["LOG_LEVEL"]["source"]), ("debug", ".env"))
        self.assertEqual((found["DATABASE_URL"]["value"], found["DATABASE_URL"]["source"]), ("(secret)", "file"))
        self.assertEqual(found["REDIS_URL"]["value"], "(secret)")
        self.assertIsNone(found["SMTP_URL"]["value"])
        self.assertNotIn(SECRET, done.stdout + self.run_command("config", REDIS_URL=f"redis://:{SECRET}@localhost").stdout)

    def test_every_wrong_setting_is_reported_at_once(self):
        (self.app.folder / ".env").write_text("IDLE_TIMEOUT=soon\nno equals sign\n")
        done = self.run_command("config", PORT=99999, REQUEST_TIMEOUT="30", LOG_LEVEL="loud", PRONG_SECRET=SECRET,
                                DATABASE_URL=f"mysql://ada:{SECRET}@x", REDIS_URL=f"http://:{SECRET}@x",
                                SMTP_URL=f"ftp://ada:{SECRET}@x")
        self.assert_mistake(done, 78, "prong: PORT: '99999'", "REQUEST_TIMEOUT: '30'", "LOG_LEVEL: 'loud'",
                            "PRONG_SECRET: it is shorter", "DATABASE_URL: ", "REDIS_URL: ", "SMTP_URL: ", ".env:2: ")

    def test_production_needs_its_own_settings(self):
        done = self.run_command("config", PRONG_ENV="production", PRONG_SECRET="")
        self.assert_mistake(done, 78, "PRONG_SECRET: it must be set", "DATABASE_URL: it must be set", "REDIS_URL: it must be set")
        self.assert_mistake(self.run_command("dev", PRONG_ENV="production", DATABASE_URL="postgresql://x",
                                             REDIS_URL="redis://x"), 78, "`dev` is for development")

    def test_serving_needs_services(self):
        self.assert_mistake(self.run_command("serve", PRONG_SECRET=""), 78, "DATABASE_URL is not set", "REDIS_URL is not set",
                            "PRONG_SECRET is not set", "`prong dev`")
        self.assert_mistake(self.run_command("work"), 78, "DATABASE_URL is not set", "REDIS_URL is not set")
        self.assert_mistake(self.run_command("migrate", "status"), 78, "DATABASE_URL is not set")
        self.assert_mistake(self.run_command("jobs", "ls"), 78, "REDIS_URL is not set")
        self.assert_mistake(self.run_command("accounts", "ls"), 78, "DATABASE_URL is not set")

    def test_output_that_cannot_be_written_is_a_failure(self):
        for command in ("--help", "version", "config", "routes"):
            with open("/dev/full", "w") as full:
                done = subprocess.run([self.app.program, command], stdout=full, stderr=subprocess.PIPE, text=True,
                                      env=self.app.environment, cwd=self.app.folder, timeout=30)
            self.assertEqual(done.returncode, 1, command)


class Preflight(CommandTest):
    """What `serve` says before it starts anything."""

    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        app = App(binary("prong"), cls.services)
        cls.addClassCleanup(app.stop)
        app.command("migrate", "up")

    def setUp(self):
        self.app = App(binary("prong"), self.services, PORT=0)
        self.addCleanup(self.app.stop)

    def test_a_taken_port(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            self.assert_mistake(self.run_command("serve", PORT=port), 75, f"port {port} is taken")

    def test_an_address_of_another_machine(self):
        self.assert_mistake(self.run_command("serve", HOST="192.0.2.1"), 78, "HOST '192.0.2.1' is no address")

    def test_unreachable_services_are_reported_together(self):
        done = self.run_command("serve", DATABASE_URL=f"postgresql://ada:{SECRET}@127.0.0.1:{free_port()}/x",
                                REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{free_port()}")
        self.assert_mistake(done, 69, "DATABASE_URL: PostgreSQL cannot be reached", "REDIS_URL: Redis cannot be reached",
                            "refused")

    def test_a_taken_port_beside_an_unreachable_service(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            done = self.run_command("serve", PORT=other.getsockname()[1], REDIS_URL="unix:///nowhere/redis.sock")
        self.assertIn(done.returncode, (69, 75))
        self.assertIn("is taken", done.stderr)
        self.assertIn("REDIS_URL: Redis cannot be reached", done.stderr)

    def test_redis_that_evicts(self):
        self.services.redis_command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.addCleanup(self.services.redis_command, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.assert_mistake(self.run_command("serve"), 78, "REDIS_URL: ", "noeviction")

    def test_pending_migrations(self):
        self.services.sql("CREATE DATABASE empty")
        url = self.services.database_url.replace("/postgres?", "/empty?")
        self.assert_mistake(self.run_command("serve", DATABASE_URL=url), 78, "pending: run `prong migrate up`")

    def test_a_changed_migration_is_reported_once(self):
        folder = self.app.folder / "changed"
        folder.mkdir()
        file = folder / "0001_first.up.sql"
        file.write_text("CREATE TABLE changed_first ();")
        self.services.sql("CREATE DATABASE changed")
        url = self.services.database_url.replace("/postgres?", "/changed?")
        self.run_command("migrate", "up", DATABASE_URL=url, MIGRATIONS_DIR=folder)
        file.write_text("CREATE TABLE changed_first (id int);")
        done = self.run_command("serve", DATABASE_URL=url, MIGRATIONS_DIR=folder)
        self.assert_mistake(done, 78, "0001_first.up.sql: was changed after it had been applied")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_more_connections_than_the_server_allows(self):
        self.assert_mistake(self.run_command("serve", WEB_CONCURRENCY=20, DATABASE_CONNECTIONS=10), 78,
                            "22 processes × 14 connections + 1 to listen = 309", "max_connections 200")

    def test_another_secret(self):
        self.app.start()
        self.assertEqual(self.app.process.stop(), 0)
        done = self.run_command("serve", PRONG_SECRET="another secret of the tests, also 32 bytes")
        self.assert_mistake(done, 78, "PRONG_SECRET: it is not the one")


if __name__ == "__main__":
    unittest.main()
