#include "common/scoreboard.h"
#include "tests/unit/test.h"

#include <sys/eventfd.h>
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

/* ---- deaths ---- */

static struct death make_death(uint64_t incarnation)
{
	return (struct death){ .incarnation = incarnation,
			       .culprit = prong_uuid_make(),
			       .wait_status = (int)incarnation };
}

static bool next_is(struct scoreboard *scoreboard, const struct death *expected)
{
	struct death death;

	return scoreboard_next_death(scoreboard, &death) && death.incarnation == expected->incarnation &&
	       prong_uuid_equal(death.culprit, expected->culprit) && death.wait_status == expected->wait_status;
}

TEST(scoreboard, tells_deaths_in_order_until_they_are_settled)
{
	struct scoreboard *scoreboard = scoreboard_new((size_t[]){ 0, 1, 0 });
	struct death first = make_death(1), second = make_death(2), none;
	eventfd_t count;

	CU_ASSERT(!scoreboard_next_death(scoreboard, &none));
	CU_ASSERT(eventfd_read(scoreboard->death_fd, &count) < 0);
	second.culprit = (prong_uuid){ 0 };
	scoreboard_add_death(scoreboard, &first);
	scoreboard_add_death(scoreboard, &second);
	CU_ASSERT(eventfd_read(scoreboard->death_fd, &count) == 0 && count == 2);
	CU_ASSERT(next_is(scoreboard, &first));
	CU_ASSERT(next_is(scoreboard, &first));
	scoreboard_settle_death(scoreboard);
	CU_ASSERT(next_is(scoreboard, &second));
	scoreboard_settle_death(scoreboard);
	CU_ASSERT(!scoreboard_next_death(scoreboard, &none));
	scoreboard_free(scoreboard);
}

TEST(scoreboard, forgets_the_oldest_of_too_many_deaths)
{
	struct scoreboard *scoreboard = scoreboard_new((size_t[]){ 0, 1, 0 });
	struct death deaths[2 * DEATHS], none;
	size_t told = 0;

	for (size_t i = 0; i < 2 * DEATHS; i++) {
		deaths[i] = make_death(i + 1);
		scoreboard_add_death(scoreboard, &deaths[i]);
	}
	for (size_t i = DEATHS + 1; i < 2 * DEATHS; i++) {
		told += next_is(scoreboard, &deaths[i]);
		scoreboard_settle_death(scoreboard);
	}
	CU_ASSERT_EQUAL(told, DEATHS - 1);
	CU_ASSERT(!scoreboard_next_death(scoreboard, &none));
	scoreboard_free(scoreboard);
}

TEST(scoreboard, takes_half_a_mark_for_none)
{
	struct scoreboard *scoreboard = scoreboard_new((size_t[]){ 0, 1, 0 });
	struct scoreboard_slot *slot = &scoreboard->slots[0];
	const prong_uuid id = prong_uuid_make(), none = { 0 };
	uint64_t halves[2];

	memcpy(halves, id.bytes, sizeof(halves));
	CU_ASSERT(prong_uuid_equal(slot_culprit(slot), none));
	atomic_store(&slot->running[0], halves[0]);
	CU_ASSERT(prong_uuid_equal(slot_culprit(slot), none));
	atomic_store(&slot->running[1], halves[1]);
	CU_ASSERT(prong_uuid_equal(slot_culprit(slot), id));
	atomic_store(&slot->running[0], 0);
	CU_ASSERT(prong_uuid_equal(slot_culprit(slot), none));
	scoreboard_free(scoreboard);
}

TEST(scoreboard, names_classes)
{
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_HTTP), "http");
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_WORKER), "worker");
	CU_ASSERT_STRING_EQUAL(process_class_name(PROCESS_SCHEDULER), "scheduler");
}
