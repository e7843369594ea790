"""docs/accounts.md: its console blocks are run against a real server, in order, and must print what stands there."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from harness import DEADLINE, App, Services, binary

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "accounts.md"
END = "end of block"


def blocks(text):
    """Of each ```console block, its line in the guide, and commands with what each prints; `> ` continues a command."""
    for match in re.finditer(r"^```console\n(.*?)^```$", text, re.M | re.S):
        commands = []
        for line in match.group(1).splitlines():
            if line.startswith("$ "):
                commands.append([line[2:], ""])
            elif line.startswith("> "):
                commands[-1][0] += "\n" + line[2:]
            else:
                commands[-1][1] += line + "\n"
        yield text.count("\n", 0, match.start()) + 1, commands


def pattern(expected):
    """What stands in the guide, with … for anything within a line, and a line of … alone for any lines."""
    lines = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r"\n"
             for line in expected.splitlines() if line]
    return re.compile("".join(lines))


class Shell:
    """One shell for all blocks, as a reader has: variables and functions stay."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(["bash", "--norc"], cwd=folder, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command):
        self.process.stdin.write(f"{command}\nprintf '\\n%s\\n' '{END}'\n")
        self.process.stdin.flush()
        printed = ""
        for line in self.process.stdout:
            if line == END + "\n":
                return "\n".join(line for line in printed.split("\n") if line) + "\n"
            printed += line.replace("\r\n", "\n")
        raise AssertionError(f"the shell ended in:\n{command}\n{printed}")

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(DEADLINE)


class Guide(unittest.TestCase):
    def test_every_block_prints_what_the_guide_says(self):
        services = Services()
        self.addCleanup(services.stop)
        app = App(binary("prong"), services, PUBLIC_URL="http://localhost:8080")
        self.addCleanup(app.stop)
        app.environment["MAIL_DIR"] = f"{app.folder}/.prong/mail"
        app.command("migrate", "up")
        app.start()
        (app.folder / "build").mkdir()
        (app.folder / "build" / "prong").symlink_to(app.program)
        self.assertTrue(shutil.which("jq"), "the guide uses jq")
        shell = Shell(app.folder, {**os.environ, **app.environment})
        self.addCleanup(shell.stop)
        for number, commands in blocks(GUIDE.read_text()):
            for command, expected in commands:
                printed = shell.run(command.replace("localhost:8080", f"localhost:{app.port}"))
                printed = printed.replace(f"localhost:{app.port}", "localhost:8080")
                if not pattern(expected).fullmatch(printed.lstrip("\n")):
                    self.fail(f"block at line {number}: {command}\nexpected:\n{expected}\nprinted:\n{printed}")


if __name__ == "__main__":
    unittest.main()
