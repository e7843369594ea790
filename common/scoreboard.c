#include "common/scoreboard.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

static size_t size_of(size_t n_slots)
{
	return sizeof(struct scoreboard) + n_slots * sizeof(struct scoreboard_slot);
}

struct scoreboard *scoreboard_new(const size_t counts[PROCESS_CLASSES])
{
	struct scoreboard *scoreboard;
	size_t n_slots = 0;

	for (size_t class = 0; class < PROCESS_CLASSES; class ++)
		n_slots += counts[class];
	scoreboard = mmap(NULL, size_of(n_slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scoreboard == MAP_FAILED)
		panic("no shared memory for %zu processes: %s", n_slots, strerror(errno));
	scoreboard->n_slots = n_slots;
	for (size_t class = 0, first = 0; class < PROCESS_CLASSES; first += counts[class ++]) {
		scoreboard->first[class] = first;
		scoreboard->count[class] = counts[class];
	}
	scoreboard->death_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (scoreboard->death_fd < 0)
		panic("eventfd: %s", strerror(errno));
	return scoreboard;
}

struct scoreboard *scoreboard_free(struct scoreboard *scoreboard)
{
	if (!scoreboard)
		return NULL;
	close(scoreboard->death_fd);
	munmap(scoreboard, size_of(scoreboard->n_slots));
	return NULL;
}

const char *process_class_name(enum process_class class)
{
	static const char *const names[] = { "http", "worker", "scheduler" };

	check(class < PROCESS_CLASSES);
	return names[class];
}

static prong_uuid uuid_of(const _Atomic uint64_t halves[2])
{
	const uint64_t read[2] = { atomic_load(&halves[0]), atomic_load(&halves[1]) };
	prong_uuid uuid = { 0 };

	/* Half of one: its writer was stopped between two stores. */
	if (read[0] && read[1])
		memcpy(uuid.bytes, read, sizeof(uuid.bytes));
	return uuid;
}

prong_uuid slot_culprit(const struct scoreboard_slot *slot)
{
	prong_uuid crashed = uuid_of(slot->crashed);

	return prong_uuid_equal(crashed, (prong_uuid){ 0 }) ? uuid_of(slot->running) : crashed;
}

void scoreboard_add_death(struct scoreboard *scoreboard, const struct death *death)
{
	uint64_t added = atomic_load(&scoreboard->deaths_added), halves[2];
	struct death_entry *entry = &scoreboard->deaths[added % DEATHS];

	memcpy(halves, death->culprit.bytes, sizeof(halves));
	atomic_store(&entry->incarnation, death->incarnation);
	atomic_store(&entry->culprit[0], halves[0]);
	atomic_store(&entry->culprit[1], halves[1]);
	atomic_store(&entry->wait_status, death->wait_status);
	atomic_store(&scoreboard->deaths_added, added + 1);
	eventfd_write(scoreboard->death_fd, 1); /* full: it is readable already */
}

bool scoreboard_next_death(struct scoreboard *scoreboard, struct death *ret_death)
{
	uint64_t settled = atomic_load(&scoreboard->deaths_settled), added;

	while ((added = atomic_load(&scoreboard->deaths_added)) != settled) {
		const struct death_entry *entry = &scoreboard->deaths[settled % DEATHS];
		const struct death death = {
			.incarnation = atomic_load(&entry->incarnation),
			.culprit = uuid_of(entry->culprit),
			.wait_status = atomic_load(&entry->wait_status),
		};

		/* The next one to be added may be half written over what was read. */
		added = atomic_load(&scoreboard->deaths_added);
		if (added - settled < DEATHS) {
			atomic_store(&scoreboard->deaths_settled, settled);
			*ret_death = death;
			return true;
		}
		settled = added - DEATHS + 1;
	}
	return false;
}

void scoreboard_settle_death(struct scoreboard *scoreboard)
{
	atomic_fetch_add(&scoreboard->deaths_settled, 1);
}
