"""The example application, built against the installed package as a user would: by CMake, by pkg-config, static and shared."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, ROOT, App, Services, wait_for

EXAMPLE = ROOT / "examples" / "notes"
SANITIZE = "PRONG_SANITIZE:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()
FLAGS = ["-fsanitize=address,undefined"] if SANITIZE else []


def run(*arguments, **options):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Example(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="prong-example-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        # A copy elsewhere: nothing of the source tree may be needed.
        shutil.copytree(EXAMPLE, cls.folder / "notes")
        cls.library = next(cls.prefix.glob("lib/**/libprong.so")).parent
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)

    def pkg_config(self, package):
        path = f"{self.library}/pkgconfig"
        return run("pkg-config", "--cflags", "--libs", package, env=os.environ | {"PKG_CONFIG_PATH": path}).split()

    def serve(self, program):
        app = App(program, self.services, MIGRATIONS_DIR=self.folder / "notes" / "migrations", LD_LIBRARY_PATH=self.library)
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        return app.start()

    def use(self, app, email):
        """What its users do: sign up, sign in, create a note; the job indexes it."""
        self.assertEqual(app.post("/v1/notes", {"title": "Secret"}).status, 401)
        person = {"email": email, "password": "correct horse battery"}
        self.assertEqual(app.post("/v1/accounts", person).status, 201)
        token = app.post("/v1/sessions", person).json()["access_token"]
        created = app.post("/v1/notes", {"title": "Größe", "body": "x'; DROP TABLE notes; --"}, token=token)
        self.assertEqual(created.status, 201)
        note = created.json()
        self.assertEqual((note["title"], note["body"]), ("Größe", "x'; DROP TABLE notes; --"))
        wait_for(lambda: self.services.sql(f"SELECT 1 FROM notes WHERE id = '{note['id']}' AND indexed_at IS NOT NULL"),
                 "the job has indexed the note")
        self.let_the_schedule_run(app, note["id"])
        refused = app.post("/v1/notes", {"title": "", "body": 7, "owner_id": "me", "id": note["id"]}, token=token)
        self.assertEqual(refused.status, 422)
        self.assertEqual({error["pointer"] for error in refused.json()["errors"]}, {"/title", "/body", "/owner_id", "/id"})
        self.assertEqual(app.stop(), 0)

    def let_the_schedule_run(self, app, note):
        """Its job finds what was never indexed."""
        self.services.sql(f"UPDATE notes SET indexed_at = NULL, created_at = now() - interval '1 hour' WHERE id = '{note}'")
        app.command("schedules", "run", "hourly")
        wait_for(lambda: self.services.sql(f"SELECT 1 FROM notes WHERE id = '{note}' AND indexed_at IS NOT NULL"),
                 "the job of the schedule has indexed the note")

    def test_built_by_cmake_against_the_shared_library(self):
        build = self.folder / "build"
        run("cmake", "-S", self.folder / "notes", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_C_FLAGS={' '.join(['-Wall', '-Wextra', '-Werror', *FLAGS])}")
        run("cmake", "--build", build)
        self.use(self.serve(build / "notes"), "cmake@example.com")

    def test_built_by_pkg_config_against_the_static_library(self):
        program = self.folder / "notes-static"
        run("cc", *FLAGS, self.folder / "notes" / "notes.c", "-o", program, *self.pkg_config("prong-static"))
        self.assertNotIn("libprong", run("ldd", program))
        self.use(self.serve(program), "static@example.com")

    def test_built_by_pkg_config_against_the_shared_library(self):
        program = self.folder / "notes-shared"
        run("cc", *FLAGS, self.folder / "notes" / "notes.c", "-o", program, *self.pkg_config("prong"))
        self.assertIn("libprong", run("ldd", program, env=os.environ | {"LD_LIBRARY_PATH": str(self.library)}))

    def test_the_first_program_of_the_guide_to_jobs(self):
        source = self.folder / "photos.c"
        source.write_text(re.search(r"```c\n(.*?)```", (ROOT / "docs" / "jobs.md").read_text(), re.DOTALL)[1])
        program = self.folder / "photos"
        run("cc", "-Wall", "-Wextra", "-Werror", *FLAGS, source, "-o", program, *self.pkg_config("prong-static"))
        self.services.sql("CREATE DATABASE photos")
        app = App(program, self.services, DATABASE_URL=self.services.database_url.replace("/postgres?", "/photos?"))
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        app.start()
        photo = "0192aaaa-0000-7000-8000-000000000001"
        self.assertEqual(app.post("/resizes", {"photo": photo, "width": 800}).status, 202)
        self.assertEqual(app.post("/resizes", {"photo": photo, "width": 8}).status, 422)
        app.command("jobs", "add", "resize_photo", json.dumps({"photo": photo, "width": 1600}))
        for width in (800, 1600):
            wait_for(lambda: f"photo {photo}: {width} pixels wide" in app.process.output(), f"the job for {width} has run")
        self.assertEqual(app.stop(), 0)

    def test_the_libraries_show_only_the_public_names(self):
        for library, options in (("libprong.so", ["-D"]), ("libprong.a", ["-g"])):
            names = {line.split()[-1] for line in run("nm", *options, "--defined-only", self.library / library).splitlines()
                     if len(line.split()) == 3}
            self.assertEqual({name for name in names if not name.startswith(("prong_", "__odr_asan"))}, set(), library)
            self.assertIn("prong_main", names)


if __name__ == "__main__":
    unittest.main()
