#include "worker/builtin.h"

#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/mail/mail.h"

static int send_mail(struct prong_ctx *ctx)
{
	return mail_deliver(ctx, prong_payload(ctx, mail), ctx->delivery->id, ctx->delivery->enqueued_at);
}
PRONG_JOB(send_mail, .payload = &mail_schema, .queue = "mail");

const struct prong_module worker_builtin_module = {
	.name = "builtin",
	.jobs = PRONG_JOBS(&send_mail_job),
};
