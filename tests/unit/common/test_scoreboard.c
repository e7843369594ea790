#include "common/scoreboard.h"
#include "tests/unit/test.h"

#include <sys/wait.h>

TEST(scoreboard, reserves_a_range_per_class)
{
	struct scoreboard *scoreboard = scoreboard_new((size_t[]){ 3, 2, 1 });

	CU_ASSERT(scoreboard->n_slots == 6);
	CU_ASSERT(scoreboard->first[PROCESS_HTTP] == 0 && scoreboard->count[PROCESS_HTTP] == 3);
	CU_ASSERT(scoreboard->first[PROCESS_WORKER] == 3 && scoreboard->count[PROCESS_WORKER] == 2);
	CU_ASSERT(scoreboard->first[PROCESS_SCHEDULER] == 5 && scoreboard->count[PROCESS_SCHEDULER] == 1);
	for (size_t i = 0; i < scoreboard->n_slots; i++) {
		CU_ASSERT(scoreboard->slots[i].pid == 0);
		CU_ASSERT(scoreboard->slots[i].state == PROCESS_ABSENT);
		CU_ASSERT((uintptr_t)&scoreboard->slots[i] % 64 == 0);
	}
}

TEST(scoreboard, is_shared_with_children)
{
	struct scoreboard *scoreboard = scoreboard_new((size_t[]){ 1, 0, 0 });
	pid_t pid = fork();

	if (pid == 0) {
		scoreboard->slots[0].restarts = 42;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	CU_ASSERT(scoreboard->slots[0].restarts == 42);
	pid = fork();
	if (pid == 0)
		_exit(scoreboard_free(scoreboard) != NULL);
	waitpid(pid, NULL, 0);
	CU_ASSERT(scoreboard->slots[0].restarts == 42); /* it is freed in one process only */
	CU_ASSERT_PTR_NULL(scoreboard_free(scoreboard));
}

TEST(scoreboard, names_classes)
{
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_HTTP), "http");
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_WORKER), "worker");
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_SCHEDULER), "scheduler");
}
