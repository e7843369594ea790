#include "common/jobs/consumed_queues.h"
#include "tests/unit/test.h"

static struct prong_queue queues[] = { { .name = "default" }, { .name = "mail" }, { .name = "search" } };
static const struct registry registry = { .n_queues = ARRAY_SIZE(queues), .queues = queues };

static bool consumes(const char *names, bool first, bool second, bool third)
{
	const struct settings settings = { .job_queues = names };
	_cleanup_(freep) bool *consumed = consumed_queues(&settings, &registry);
	_cleanup_(freep) char *reason = NULL;

	CU_ASSERT_EQUAL(consumed_queues_check(&settings, &registry, &reason), 0);
	return consumed[0] == first && consumed[1] == second && consumed[2] == third;
}

TEST(consumed_queues, are_those_named_or_all)
{
	CU_ASSERT(consumes(NULL, true, true, true));
	CU_ASSERT(consumes("mail", false, true, false));
	CU_ASSERT(consumes("search,default", true, false, true));
	CU_ASSERT(consumes(" search , default, search,", true, false, true));
	CU_ASSERT(consumes(",", true, true, true));
}

TEST(consumed_queues, others_are_told)
{
	const struct settings some = { .job_queues = "mail" }, all = { 0 };
	_cleanup_(freep) char *others = consumed_queues_others(&some, &registry);

	CU_ASSERT_STRING_EQUAL(others, "default, search");
	CU_ASSERT_PTR_NULL(consumed_queues_others(&all, &registry));
}

TEST(consumed_queues, an_unknown_name_is_refused)
{
	const struct settings settings = { .job_queues = "mail, maul" };
	_cleanup_(freep) char *reason = NULL;

	CU_ASSERT_EQUAL(consumed_queues_check(&settings, &registry, &reason), -EINVAL);
	CU_ASSERT_STRING_EQUAL(reason,
			       "JOB_QUEUES: there is no queue maul; the application has: default, mail, search");
}
