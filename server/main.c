/* Where the layers meet: the one file of server/ that knows worker/. */
#include "common/jobs/module.h"
#include "common/title.h"
#include "server/cli/cli.h"
#include "server/http/abuse.h"
#include "server/http/http_metrics.h"
#include "server/http/http_process.h"
#include "server/routes/admin/admin.h"
#include "server/routes/routes.h"
#include "server/supervisor/composition.h"
#include "worker/builtin.h"
#include "worker/job_metrics.h"
#include "worker/scheduler.h"
#include "worker/worker.h"

static const struct prong_module *const builtin_modules[] = { &jobs_module, &http_builtin_module, &http_admin_module,
							      &worker_builtin_module, NULL };

static void define_metrics(const struct registry *registry)
{
	http_metrics_define(registry);
	abuse_metrics_define();
	job_metrics_define(registry);
}

int prong_main(int argc, char *argv[], const struct prong_app *app)
{
	static const struct composition composition = {
		.builtin = builtin_modules,
		.mains = { [PROCESS_HTTP] = http_main,
			   [PROCESS_WORKER] = worker_main,
			   [PROCESS_SCHEDULER] = scheduler_main },
		.define_metrics = define_metrics,
	};

	title_init(argc, argv);
	return cli_run(argc, argv, app, &composition);
}
