#include "tests/unit/test.h"
#include "tests/unit/worker/parts.h"

TEST(retention, deletes_what_has_been_kept_long_enough)
{
	struct parts parts;

	parts_open(&parts);
	free(durable_sql("INSERT INTO prong_finished_jobs (id, finished_at) SELECT gen_random_uuid(),"
			 " now() - day * interval '1 day' - interval '1 minute' FROM generate_series(0, 2499) AS day"));
	free(durable_sql(
		"INSERT INTO prong_job_history (job_id, name, queue, attempt, outcome, enqueued_at,"
		" started_at, finished_at, worker) SELECT gen_random_uuid(), 'n', 'q', 1, 'done', now(), now(),"
		" now() - day * interval '1 day' - interval '1 minute', 'w' FROM generate_series(0, 99) AS day"));
	parts_start(&parts, 0, retention_main);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) FROM prong_finished_jobs"
						" WHERE finished_at < now() - interval '7 days'"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_finished_jobs"), 7);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) FROM prong_job_history"
						" WHERE finished_at < now() - interval '30 days'"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_job_history"), 30);
	parts_close(&parts);
}

#define DEAD(queue, ages)                                                                                   \
	"INSERT INTO prong_outbox (id, queue, job, record, relayed_at, dead_at) SELECT gen_random_uuid(), " \
	"'" queue "', 'j', '', now(), now() - age * interval '1 minute' FROM generate_series(" ages ") AS age"

TEST(retention, keeps_dead_jobs_by_the_rules_of_their_queue)
{
	struct parts parts;

	parts_open(&parts);
	/* Of "things" 5 for an hour, of others 10000 for 30 days. */
	free(durable_sql(DEAD("things", "0, 3")));
	free(durable_sql(DEAD("things", "61, 63")));
	free(durable_sql(DEAD("others", "1, 40000, 100")));
	free(durable_sql("INSERT INTO prong_outbox (id, queue, job, record, created_at, relayed_at)"
			 " SELECT gen_random_uuid(), 'things', 'j', '', '2001-01-01', '2001-01-01'"));
	parts_start(&parts, 0, retention_main);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) FROM prong_outbox WHERE queue = 'things'"
						" AND dead_at < now() - interval '1 hour'"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE queue = 'things'"), 5);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox WHERE queue = 'others'"), 400);
	parts_close(&parts);
}

TEST(retention, keeps_the_latest_dead_jobs)
{
	struct parts parts;

	parts_open(&parts);
	free(durable_sql(DEAD("things", "1, 30")));
	parts_start(&parts, 0, retention_main);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT count(*) FROM prong_outbox"
						" WHERE dead_at < now() - interval '6 minutes'"));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 5);
	parts_close(&parts);
}

TEST(retention, vacuums_the_outbox)
{
	struct parts parts;

	parts_open(&parts);
	free(durable_sql("ALTER TABLE prong_outbox SET (autovacuum_enabled = false)"));
	free(durable_sql("INSERT INTO prong_outbox (id, queue, job, record) SELECT gen_random_uuid(), 'things', 'j',"
			 " repeat('x', 1000) FROM generate_series(1, 20000)"));
	free(durable_sql("DELETE FROM prong_outbox"));
	CU_ASSERT(durable_count("SELECT pg_relation_size('prong_outbox')") > 20000000);
	parts_start(&parts, 0, retention_main);
	CU_ASSERT(parts_come_to_nothing(&parts, "SELECT pg_relation_size('prong_outbox')"));
	parts_close(&parts);
}
