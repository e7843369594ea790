#include "tests/unit/server/accounts_fixture.h"

#include <sodium.h>

#include "common/jobs/module.h"
#include "common/log.h"
#include "server/routes/accounts/accounts.h"
#include "tests/unit/common/servers.h"

static const struct prong_app app = {
	.name = "test app",
	.version = "1",
	.modules = PRONG_MODULES(&prong_accounts),
};

static void make_tables(void)
{
	durable_make_tables();
	free(durable_sql("DROP TABLE IF EXISTS prong_secrets, prong_api_keys, prong_sessions, prong_revocations,"
			 " prong_signing_keys, prong_audit, prong_accounts CASCADE"));
	free(durable_sql("DROP FUNCTION IF EXISTS prong_audit_keep()"));
	for (const struct prong_migration *migration = prong_accounts.migrations; migration->number; migration++)
		free(durable_sql(migration->up));
}

void accounts_open(struct accounts_fixture *fixture)
{
	static const char *const none[] = { NULL };
	struct buffer mistakes = { 0 };
	char folder[] = "/tmp/prong-mail-XXXXXX";

	if (sodium_init() < 0)
		panic("libsodium cannot start");
	/* Most tests provoke errors. */
	log_open("test", "test", PRONG_LOG_ERROR + 1, false);
	make_tables();
	check(mkdtemp(folder));
	*fixture = (struct accounts_fixture){ .server = redis_server_new(none), .mail_dir = duplicate(folder) };
	if (registry_new(&app, PRONG_MODULES(&jobs_module), &fixture->registry, &mistakes) < 0)
		panic("%s", buffer_text(&mistakes));
	buffer_free(&mistakes);
	fixture->settings = (struct settings){
		.redis_url = redis_server_url(fixture->server),
		.database_url = server_url(SERVER_POSTGRES),
		.database_connections = 4,
		.database_transactions = 4,
		.database_timeout = PRONG_SECONDS(30),
		.max_requests = 100,
		.max_payload = 1048576,
		.threads = 2,
		.public_url = "https://api.example.com",
		.account_url = "https://www.example.com/account",
		.mail_dir = fixture->mail_dir,
		.mail_from = "Test <test@example.com>",
		.secret = "a secret of the tests, 32 bytes or more",
		.deletion_grace = PRONG_DAYS(14),
	};
	fixture->runtime = runtime_new(&fixture->settings, fixture->registry, NULL, "accounts test", -1,
				       RUNTIME_POSTGRES | RUNTIME_REDIS);
}

void accounts_close(struct accounts_fixture *fixture)
{
	_cleanup_(freep) char *remove = format_text("rm -r '%s'", fixture->mail_dir);

	check(system(remove) == 0);
	runtime_free(fixture->runtime);
	registry_free(fixture->registry);
	redis_server_free(fixture->server);
	free(fixture->mail_dir);
}

int accounts_run(struct accounts_fixture *fixture, int (*function)(struct prong_ctx *ctx, void *argument),
		 void *argument)
{
	return context_run(fixture->runtime, PRONG_SECONDS(60), function, argument);
}

prong_uuid accounts_add(const char *email)
{
	char id[PRONG_UUID_TEXT_SIZE];
	prong_uuid uuid = prong_uuid_make();
	_cleanup_(freep) char *sql = format_text("INSERT INTO prong_accounts (id, email, email_normalised,"
						 " password_hash) VALUES ('%s', '%s', lower('%s'), 'none')",
						 prong_uuid_format(uuid, id), email, email);

	free(durable_sql(sql));
	return uuid;
}
