"""`dev`: its own PostgreSQL and Redis, the other commands beside it, and nothing left of it afterwards."""
import json
import os
import pathlib
import shutil
import signal
import stat
import unittest

from harness import App, DEADLINE, binary, wait_for

ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}


class DevTest(unittest.TestCase):
    def setUp(self):
        self.app = App(binary("prong"), WEB_CONCURRENCY=1)
        self.app.environment.pop("PRONG_SECRET")
        self.app.environment.pop("MAIL_DIR")
        self.addCleanup(self.clean)
        self.at = self.made = self.app.folder

    def clean(self):
        outside = self.outside()
        self.app.stop()
        self.assertEqual(self.left_running(), [])
        if outside:
            shutil.rmtree(outside, ignore_errors=True)
        shutil.rmtree(self.made, ignore_errors=True)

    def outside(self):
        """Where PostgreSQL's data went when its account cannot reach the folder; a folder like any other else."""
        link = self.at / ".prong/postgres"
        return pathlib.Path(os.readlink(link)) if link.is_symlink() else None

    def left_running(self):
        """Command lines that name the folder of this test, or where its data is."""
        places = [str(self.at)] + ([str(self.outside())] if self.outside() else [])
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if entry.name.isdigit() and any(place in line for place in places):
                found.append(line)
        return found

    def remove_outside(self):
        if self.outside():
            shutil.rmtree(self.outside(), ignore_errors=True)
            (self.at / ".prong/postgres").unlink()

    def start(self, wait=True):
        self.app.start("dev", wait=wait)
        return self.app.process

    def stop(self, number=signal.SIGTERM):
        self.app.process.signal(number)
        status = self.app.process.wait(2 * DEADLINE)
        self.assertEqual(self.left_running(), [])
        return status


class Dev(DevTest):
    def test_the_whole_session(self):
        self.start()
        self.assertIn("curl -i", self.app.process.output())
        self.assertEqual(self.app.post("/v1/accounts", ACCOUNT).status, 201)
        self.assertEqual(self.app.post("/v1/accounts", ACCOUNT).status, 409)
        token = self.app.post("/v1/sessions", ACCOUNT).json()["access_token"]
        self.assertEqual(self.app.get("/v1/account", token=token).json()["email"], ACCOUNT["email"])
        wait_for(lambda: list((self.at / ".prong/mail").glob("*.eml")), "the mail is delivered")

        # Other commands find what runs.
        status = json.loads(self.app.command("migrate", "status", "--json").stdout)
        self.assertTrue(status)
        self.app.command("jobs", "ls")
        config = {value["name"]: value for value in json.loads(self.app.command("config", "--json").stdout)}
        self.assertEqual((config["DATABASE_URL"]["value"], config["DATABASE_URL"]["source"]), ("(secret)", "dev"))

        again = self.app.command("dev", check=False)
        self.assertEqual(again.returncode, 75)
        self.assertIn("another `prong dev` is running here", again.stderr)

        self.assertEqual(self.stop(signal.SIGINT), 0)
        self.assertFalse((self.at / ".prong/env").exists())
        self.assertEqual((self.at / ".prong/secret").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.app.command("jobs", "ls", check=False).returncode, 78)

        # What was written is there the next time, and the secret still opens the keys.
        self.start()
        self.assertEqual(self.app.post("/v1/sessions", ACCOUNT).status, 201)
        self.assertEqual(self.stop(), 0)

    def test_the_secret_goes_where_only_its_owner_reads(self):
        folder, elsewhere = self.at / ".prong", self.at / "elsewhere"
        folder.mkdir()
        (folder / "secret.new").symlink_to(elsewhere)
        (folder / "env.new").touch(0o666)
        self.start()
        for name in ("secret", "env"):
            self.assertEqual((folder / name).lstat().st_mode, stat.S_IFREG | 0o600)
        self.assertFalse(elsewhere.exists())
        self.assertEqual(self.stop(), 0)

    def test_a_killed_dev_leaves_nothing_and_starts_again(self):
        self.start()
        self.app.process.kill()
        wait_for(lambda: self.left_running() == [], "all is gone")
        self.start()
        self.assertEqual(self.stop(), 0)

    def test_stopping_amid_the_start_leaves_nothing(self):
        for sign in ("lock", "postgres", "postgres.log", "postgres/data", "redis.log", "env"):
            for number in (signal.SIGTERM, signal.SIGKILL):
                self.start(wait=False)
                wait_for((self.at / ".prong" / sign).exists, f"the start has come to {sign}")
                self.app.process.signal(number)
                self.assertEqual(self.app.process.wait(2 * DEADLINE), 0 if number == signal.SIGTERM else -number)
                wait_for(lambda: self.left_running() == [], f"all is gone after {number.name} at {sign}")
                self.remove_outside()
                shutil.rmtree(self.at / ".prong")
        self.start()
        self.assertEqual(self.stop(), 0)

    def test_says_when_a_service_dies(self):
        self.start()
        redis = next(int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()
                     and (entry / "comm").read_text() == "redis-server\n"
                     and str(self.at).encode() in (entry / "cmdline").read_bytes())
        os.kill(redis, signal.SIGKILL)
        self.assertEqual(self.app.process.wait(2 * DEADLINE), 69)
        self.assertIn("Redis has stopped: it was killed by SIGKILL", self.app.process.output())
        self.assertEqual(self.left_running(), [])

    def test_a_folder_too_deep_for_sockets(self):
        self.at = self.app.folder = self.app.folder / ("deep, and with spaces " * 6).strip()
        self.at.mkdir()
        before = set(pathlib.Path("/tmp").glob("prong-??????"))
        self.start()
        self.assertEqual(self.app.post("/v1/accounts", ACCOUNT).status, 201)
        self.assertEqual(self.stop(), 0)
        self.assertLessEqual(set(pathlib.Path("/tmp").glob("prong-??????")), before)

    def test_uses_the_services_that_are_set(self):
        done = self.app.command("dev", check=False, DATABASE_URL="postgresql://127.0.0.1:1/x",
                                REDIS_URL="redis://127.0.0.1:1")
        self.assertEqual(done.returncode, 69)
        self.assertFalse((self.at / ".prong/postgres").exists())
        self.assertFalse((self.at / ".prong/redis").exists())


class Damaged(DevTest):
    """A .prong/ that is not as it was left: one message that says what to do, and nothing half-done."""

    def assert_refused(self, status, *texts):
        done = self.app.command("dev", check=False, seconds=2 * DEADLINE)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)
        self.assertEqual(self.left_running(), [])

    def make(self):
        self.start()
        self.assertEqual(self.stop(), 0)
        return self.at / ".prong"

    def test_data_that_is_none(self):
        folder = self.make()
        version = folder / "postgres/data/PG_VERSION"
        was = version.read_text()

        version.write_text("9\n")
        self.assert_refused(78, "was made by PostgreSQL 9", "remove")
        version.unlink()
        self.assert_refused(78, "holds no PostgreSQL database", "remove .prong/postgres")
        version.write_text(was)
        (folder / "postgres/data/global/pg_control").write_bytes(b"nonsense")
        self.assert_refused(69, "PostgreSQL did not start", ".prong/postgres.log", "remove .prong/postgres")

    def test_a_secret_that_is_none(self):
        secret = self.make() / "secret"
        secret.write_text("half")
        self.assert_refused(78, ".prong/secret is damaged")
        secret.unlink()
        secret.mkdir()
        self.assert_refused(78, ".prong/secret is damaged")
        secret.rmdir()
        # A new secret does not open the old keys.
        self.assert_refused(78, "PRONG_SECRET")

    def test_jobs_that_are_none(self):
        folder = self.make()
        manifest = next((folder / "redis").glob("appendonlydir/*.manifest"))
        manifest.write_text("nonsense\n")
        self.assert_refused(69, "Redis did not start", "remove .prong/redis")

    def test_things_in_its_place(self):
        (self.at / ".prong").write_text("")
        self.assert_refused(78, ".prong")
        (self.at / ".prong").unlink()
        for name in ("postgres", "redis", "lock"):
            (self.at / ".prong").mkdir()
            (self.at / ".prong" / name).symlink_to("/nowhere/at/all")
            self.assert_refused(78, f".prong/{name}")
            (self.at / ".prong" / name).unlink()
            self.remove_outside()
            shutil.rmtree(self.at / ".prong")

    def test_a_pid_of_another_time(self):
        folder = self.make()
        lines = [str(os.getpid()), str(folder / "postgres/data"), "1", "5432", str(folder / "postgres"), "", "0 0", "ready"]
        (folder / "postgres/data/postmaster.pid").write_text("\n".join(lines) + "\n")
        self.make()


if __name__ == "__main__":
    unittest.main()
