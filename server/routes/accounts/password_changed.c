#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/sessions.h"

int password_changed(struct prong_ctx *ctx, prong_uuid account_id, prong_uuid except, const char *action)
{
	int r;

	r = sessions_end_all(ctx, account_id, except, "password_changed");
	if (r >= 0)
		r = account_mail(ctx, MAIL_PASSWORD_CHANGED, account_id, NULL, NULL);
	if (r >= 0)
		r = audit(ctx, &(struct audit_event){ account_id, .action = action, .result = AUDIT_OK });
	return r < 0 ? r : 0;
}
