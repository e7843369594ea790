#include "server/routes/accounts/housekeeping.h"

#include "common/basics.h"
#include "common/security/revocations.h"
#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/deletion.h"
#include "server/routes/accounts/secrets.h"
#include "server/routes/accounts/sessions.h"

/* clang-format off */
/* Each suspends, deletes in small batches, and returns a negative errno where it fails. */
static const struct {
	const char *what;
	prong_handler *run;
} tasks[] = {
	{ "the audit log", audit_purge },
	{ "one-time secrets", secrets_purge },
	{ "revoked API keys", api_keys_purge },
	{ "revocations", revocations_purge },
	{ "sessions", sessions_purge },
	{ "accounts to be deleted", accounts_purge },
};
/* clang-format on */

/* One that fails does not keep the others from their work. */
static int keep_house(struct prong_ctx *ctx)
{
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		int r = tasks[i].run(ctx);

		prong_rollback(ctx);
		if (r >= 0)
			continue;
		prong_log(ctx, PRONG_LOG_ERROR, "housekeeping of %s: %s", tasks[i].what, strerror(-r));
		result = r;
	}
	return result;
}

const struct prong_job accounts_housekeeping_job = {
	.name = "accounts_housekeeping",
	.run = keep_house,
	.max_attempts = 5,
	.timeout = PRONG_MINUTES(10),
};

const struct prong_schedule accounts_housekeeping_schedule = {
	.name = "accounts_housekeeping",
	.job = &accounts_housekeeping_job,
	.every = PRONG_HOURS(1),
	.misfire = PRONG_MISFIRE_ONCE,
};
