/* prong_compute(): a handler's or job's own work on the thread pool. */
#include "common/context.h"
#include "common/thread_pool.h"

int prong_compute(struct prong_ctx *ctx, int (*work)(void *argument), void *argument)
{
	return thread_pool_run(ctx->runtime->threads, work, argument, INT64_MAX);
}
