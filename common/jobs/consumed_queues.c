#include "common/jobs/consumed_queues.h"

/* The next of names with commas between; NULL: no more. */
static char *next_name(const char **list)
{
	const char *begin = *list + strspn(*list, ", \t");
	size_t size = strcspn(begin, ", \t");

	*list = begin + size;
	return size ? format_text("%.*s", (int)size, begin) : NULL;
}

/* The index of a queue; the count of all where there is none of the name. */
static size_t find(const struct registry *registry, const char *name)
{
	size_t i = 0;

	while (i < registry->n_queues && !string_equal(registry->queues[i].name, name))
		i++;
	return i;
}

/* Names of queues, consumed or not; malloc'ed, NULL: none. */
static char *join(const struct registry *registry, const bool *consumed, bool which)
{
	struct buffer names = { 0 };

	for (size_t i = 0; i < registry->n_queues; i++)
		if (!consumed || consumed[i] == which)
			buffer_add_format(&names, "%s%s", names.size ? ", " : "", registry->queues[i].name);
	if (names.size)
		buffer_text(&names);
	return names.data;
}

int consumed_queues_check(const struct settings *settings, const struct registry *registry, char **ret_reason)
{
	const char *list = settings->job_queues ? settings->job_queues : "";

	for (;;) {
		_cleanup_(freep) char *name = next_name(&list), *known = NULL;

		if (!name)
			return 0;
		if (find(registry, name) < registry->n_queues)
			continue;
		known = join(registry, NULL, true);
		*ret_reason = format_text("JOB_QUEUES: there is no queue %s; the application has: %s", name, known);
		return -EINVAL;
	}
}

bool *consumed_queues(const struct settings *settings, const struct registry *registry)
{
	const char *list = settings->job_queues ? settings->job_queues : "";
	bool *consumed = allocate_array(registry->n_queues + 1, sizeof(*consumed)), any = false;

	for (;;) {
		_cleanup_(freep) char *name = next_name(&list);

		if (!name)
			break;
		any = consumed[find(registry, name)] = true;
	}
	for (size_t i = 0; !any && i < registry->n_queues; i++)
		consumed[i] = true;
	return consumed;
}

char *consumed_queues_others(const struct settings *settings, const struct registry *registry)
{
	_cleanup_(freep) bool *consumed = consumed_queues(settings, registry);

	return join(registry, consumed, false);
}
