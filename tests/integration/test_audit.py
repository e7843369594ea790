"""The audit log: who reads what of it, that it is only added to, and how long it is kept."""
import pathlib
import re
import unittest

from accounts_case import AccountsCase, claims_of
from harness import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
OTHER = "0190a5d4-0000-7000-8000-00000000000b"


def setUpModule():
    Audit.serve(WEB_CONCURRENCY=1, AUDIT_AGE="40d")


class Audit(AccountsCase):
    def account(self, address):
        """Signs up and in; the account's id and a token."""
        token = self.join(address)
        return claims_of(token)["sub"], token

    def admin(self, address):
        self.join(address)
        self.app.command("accounts", "grant", address, "admin")
        return self.token(address)

    def add(self, account, count=1, action="test", age="0"):
        """Adds entries, and returns their ids, the newest first."""
        owner = f"'{account}'" if account else "NULL"
        rows = self.services.sql(
            "INSERT INTO prong_audit (id, at, account_id, actor, action, result)"
            " SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n), 12, '0') || '70008000'"
            f" || substr(md5(random()::text), 1, 12))::uuid, now() - interval '{age}', {owner}, 'system', '{action}', 'ok'"
            f" FROM generate_series(1, {count}) n RETURNING id")
        return [row[0] for row in reversed(rows)]

    def page(self, path, token):
        response = self.app.get(path, token=token)
        self.assertEqual(response.status, 200, response)
        return response.json()["items"]

    def pages(self, path, token, limit):
        """All ids, page by page."""
        found, before = [], ""
        while items := self.page(f"{path}limit={limit}{before}", token):
            self.assertLessEqual(len(items), limit)
            found += [item["id"] for item in items]
            before = f"&before={items[-1]['id']}"
        return found

    def test_an_account_reads_its_own(self):
        own, token = self.account("own@example.com")
        other, _ = self.account("other@example.com")
        self.add(other, 3, "read")
        ids = self.add(own, 130, "read")
        path = "/v1/account/audit"
        listed = [item["id"] for item in self.page(path, token) if item["action"] == "read"]
        self.assertEqual(listed, ids[:50])
        for limit in (7, 130, 200):
            self.assertEqual([id for id in self.pages(path + "?", token, limit) if id in ids], ids)
        self.assertTrue(all(item["account_id"] == own for item in self.page(path + "?limit=200", token)))
        entry = next(item for item in self.page(path, token) if item["id"] == ids[0])
        self.assertEqual(entry.items() & {"actor": "system", "action": "read", "result": "ok"}.items(),
                         {"actor": "system", "action": "read", "result": "ok"}.items())
        self.assertEqual(set(entry), {"id", "at", "account_id", "actor", "action", "result"})

    def test_only_signed_in(self):
        self.assertEqual(self.app.get("/v1/account/audit").status, 401)
        self.assertEqual(self.app.get("/v1/admin/audit").status, 401)
        _, token = self.account("plain@example.com")
        response = self.app.get("/v1/admin/audit", token=token)
        self.assertEqual((response.status, response.json()["code"]), (403, "admin_required"))
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            self.assertEqual(self.app.request(method, "/v1/account/audit", token=token).status, 405)

    def test_an_admin_reads_all_by_account_and_action(self):
        token = self.admin("boss@example.com")
        first, _ = self.account("first@example.com")
        ids = self.add(first, 5, "one") + self.add(first, 5, "two")
        nobody = self.add(None, 2, "three")
        self.assertEqual(set(self.pages("/v1/admin/audit?action=one&", token, 2)), set(ids[:5]))
        found = self.pages(f"/v1/admin/audit?account={first}&", token, 3)
        self.assertLessEqual(set(ids), set(found))
        self.assertTrue(set(found).isdisjoint(nobody))
        self.assertEqual(self.pages(f"/v1/admin/audit?account={first}&action=two&", token, 200), ids[5:])
        self.assertEqual(self.page("/v1/admin/audit?action=missing", token), [])
        items = self.page("/v1/admin/audit?action=three", token)
        self.assertEqual([item["id"] for item in items], nobody)
        self.assertNotIn("account_id", items[0])
        everything = self.pages("/v1/admin/audit?", token, 200)
        self.assertEqual(everything, sorted(everything, reverse=True))
        self.assertLessEqual(set(ids + nobody), set(everything))

    def test_bad_queries(self):
        token = self.admin("queries@example.com")
        for query in ("before=x", "before=", "before=0190a5d4-0000-4000-8000-000000000001", "limit=0", "limit=201",
                      "limit=-1", "limit=1.5", "limit=x", "account=x", "account=' OR true", "unknown=1",
                      "limit=1&limit=2", "before=00000000-0000-0000-0000-000000000000", "action=" + "x" * 101):
            response = self.app.get("/v1/admin/audit?" + query.replace(" ", "%20"), token=token)
            self.assertEqual((response.status, response.json()["code"]), (400, "invalid_query"), (query, response))
        response = self.app.get("/v1/account/audit?account=" + OTHER, token=token)
        self.assertEqual(response.status, 400, response)

    def test_another_accounts_id_opens_nothing(self):
        own, token = self.account("curious@example.com")
        other, _ = self.account("target@example.com")
        foreign = self.add(other, 1, "secret")[0]
        items = self.page(f"/v1/account/audit?before={foreign}", token)
        self.assertTrue(all(item["account_id"] == own for item in items), items)

    def test_it_is_only_added_to(self):
        entry = self.add(None, 1, "kept")[0]
        for statement in (f"UPDATE prong_audit SET result = 'no' WHERE id = '{entry}'",
                          f"DELETE FROM prong_audit WHERE id = '{entry}'", "TRUNCATE prong_audit",
                          f"UPDATE prong_audit SET at = now() - interval '31 days' WHERE id = '{entry}'"):
            with self.assertRaisesRegex(RuntimeError, "only added to"):
                self.services.sql(statement)
        self.assertEqual(self.services.sql(f"SELECT action, result FROM prong_audit WHERE id = '{entry}'"),
                         [["kept", "ok"]])

    def test_what_is_old_leaves(self):
        old = self.add(None, 2500, "old", age="41 days")
        young = self.add(None, 2, "young", age="39 days")
        self.app.command("jobs", "add", "accounts_housekeeping")
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_audit WHERE action = 'old'") == [["0"]],
                 "old entries are gone")
        self.assertEqual(len(old), 2500)
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_audit WHERE action = 'young'"),
                         [[str(len(young))]])


class Guide(unittest.TestCase):
    def test_it_names_the_actions_of_the_source_and_no_others(self):
        section = re.search(r"^## Audit\n(.*?)^## ", (ROOT / "docs" / "accounts.md").read_text(), re.M | re.S)[1]
        cells = re.findall(r"^\| (`.*?) \|", section, re.M)
        documented = [name for cell in cells for name in re.findall("`(.+?)`", cell)]
        files = [*ROOT.glob("server/routes/accounts/*.c"), *ROOT.glob("server/cli/accounts*.c")]
        source = {name for path in files
                  for name in re.findall(r'"([a-z_]+\.[a-z_]+|sign_in|sign_out)"', path.read_text())}
        self.assertEqual(sorted(documented), sorted(source))


if __name__ == "__main__":
    unittest.main()
