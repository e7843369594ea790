#include "common/jobs/module.h"

extern const char embedded_jobs_0001_outbox_up_sql[], embedded_jobs_0001_outbox_down_sql[];
extern const char embedded_jobs_0002_schedules_up_sql[], embedded_jobs_0002_schedules_down_sql[];
extern const char embedded_jobs_0003_done_up_sql[], embedded_jobs_0003_done_down_sql[];
extern const char embedded_jobs_0004_history_up_sql[], embedded_jobs_0004_history_down_sql[];

static const struct prong_migration migrations[] = {
	{ 1, "outbox", embedded_jobs_0001_outbox_up_sql, embedded_jobs_0001_outbox_down_sql },
	{ 2, "schedules", embedded_jobs_0002_schedules_up_sql, embedded_jobs_0002_schedules_down_sql },
	{ 3, "done", embedded_jobs_0003_done_up_sql, embedded_jobs_0003_done_down_sql },
	{ 4, "history", embedded_jobs_0004_history_up_sql, embedded_jobs_0004_history_down_sql },
	{}
};

const struct prong_module jobs_module = { .name = "jobs", .migrations = migrations };
