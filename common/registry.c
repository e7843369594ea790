#include "common/registry.h"

#include "common/arena.h"
#include "common/schema/schema.h"
#include "common/scope.h"

#define DEFAULT_QUEUE "default"
#define DEFAULT_MAX_ATTEMPTS 20
#define DEFAULT_MAX_DEAD 10000
#define DEFAULT_MAX_RESULTS 10000
#define DEFAULT_DEAD_AGE PRONG_DAYS(30)
#define MAX_SHARDS 64
#define MAX_RATE_PER PRONG_DAYS(1)
#define DEFAULT_TIMEOUT PRONG_SECONDS(60)

/* What is being built, and where its mistakes go. */
struct builder {
	struct registry *registry;
	struct arena arena;
	struct buffer *mistakes;
	size_t n_mistakes;
	bool public_only;		   /* routes that need accounts are passed over */
	const struct prong_queue **queues; /* as listed; in the arena */
	size_t n_queues;
};

static void mistake(struct builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void mistake(struct builder *builder, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	buffer_add_string(builder->mistakes, arena_vformat(&builder->arena, format, arguments));
	va_end(arguments);
	buffer_add_char(builder->mistakes, '\n');
	builder->n_mistakes++;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A letter or '_', then also digits and, where `dash`, '-'. */
static bool is_name(const char *text, size_t size, bool dash)
{
	if (!size || !(is_letter(text[0]) || text[0] == '_'))
		return false;
	for (size_t i = 1; i < size; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '_' && !(dash && text[i] == '-'))
			return false;
	return true;
}

static bool is_queue_name(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!is_letter(*text) && !is_digit(*text) && *text != '_' && *text != '-')
			return false;
	return true;
}

static const char *method_name(enum prong_method method)
{
	static const char *const names[] = {
		[PRONG_GET] = "GET",	 [PRONG_POST] = "POST",	    [PRONG_PUT] = "PUT",
		[PRONG_PATCH] = "PATCH", [PRONG_DELETE] = "DELETE",
	};

	return (size_t)method < ARRAY_SIZE(names) && names[method] ? names[method] : "(no method)";
}

/* NULL: there is no such access. */
static const char *access_name(enum prong_access access)
{
	static const char *const names[] = {
		[PRONG_PUBLIC] = "PRONG_PUBLIC",
		[PRONG_SIGNED_IN] = "PRONG_SIGNED_IN",
		[PRONG_ADMIN] = "PRONG_ADMIN",
	};

	return (size_t)access < ARRAY_SIZE(names) ? names[access] : NULL;
}

static const char *route_name(struct builder *builder, const struct prong_route *route)
{
	return arena_format(&builder->arena, "route %s %s", method_name(route->method),
			    route->path ? route->path : "(no path)");
}

static void check_schema(struct builder *builder, const char *user, const struct prong_schema *schema)
{
	const char *wrong;

	if (schema && schema_check(schema, &builder->arena, &wrong) < 0)
		mistake(builder, "%s: %s", user, wrong);
}

/* ---- routes ---- */

/* A literal is kept as it is compared: decoded text. What would need an escape in a URL is refused. */
static bool is_literal(const char *text, size_t size)
{
	if ((size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.'))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("-._~!$&'()*+,;=:@", text[i]))
			return false;
	return size > 0;
}

/*
 * Checks a path; returns its shape, in which every {name} is {}, or NULL with a reason. Two routes of one shape and
 * method are one route.
 */
static const char *path_shape(struct builder *builder, const char *path, const char **ret_reason)
{
	struct arena *arena = &builder->arena;
	const char *shape = "", *seen = "/";
	size_t segments = 0, parameters = 0;

	if (!path || path[0] != '/') {
		*ret_reason = "its path must begin with '/'";
		return NULL;
	}
	if (string_equal(path, "/"))
		return path;

	for (const char *segment = path + 1, *next; segment; segment = next) {
		size_t size = strcspn(segment, "/");
		const char *text = arena_strndup(arena, segment, size);

		next = segment[size] ? segment + size + 1 : NULL;
		if (++segments > ROUTE_MAX_SEGMENTS) {
			*ret_reason = arena_format(arena, "its path has more than %d segments", ROUTE_MAX_SEGMENTS);
			return NULL;
		}
		if (size >= 2 && text[0] == '{' && text[size - 1] == '}') {
			const char *marked = arena_format(arena, "/%s/", text);

			if (!is_name(text + 1, size - 2, false)) {
				*ret_reason = arena_format(
					arena, "'%s' is no parameter: a name is letters, digits and '_'", text);
				return NULL;
			}
			if (strstr(seen, marked)) {
				*ret_reason = arena_format(arena, "the parameter %s stands there twice", text);
				return NULL;
			}
			if (++parameters > ROUTE_MAX_PARAMETERS) {
				*ret_reason = arena_format(arena, "its path has more than %d parameters",
							   ROUTE_MAX_PARAMETERS);
				return NULL;
			}
			seen = arena_format(arena, "%s%s/", seen, text);
			shape = arena_format(arena, "%s/{}", shape);
			continue;
		}
		if (!is_literal(text, size)) {
			*ret_reason =
				size ? arena_format(arena, "'%s' is no path segment: write literal text or one {name}",
						    text)
				     : "its path has an empty segment ('//' or a '/' at its end)";
			return NULL;
		}
		shape = arena_format(arena, "%s/%s", shape, text);
	}
	return shape;
}

static void check_query(struct builder *builder, const char *user, const struct prong_schema *schema)
{
	for (size_t i = 0; schema && i < schema->n_fields; i++) {
		int kind = schema->fields[i].kind & ~PRONG_KIND_OPTIONAL;

		if (kind == PRONG_KIND_OBJECT || kind == PRONG_KIND_JSON)
			mistake(builder, "%s: the field %s.%s cannot stand in a query string: only scalars can", user,
				schema->name, schema->fields[i].name);
	}
}

static void check_route(struct builder *builder, const struct prong_route *route)
{
	const char *user = route_name(builder, route);

	if (route->method < PRONG_GET || route->method > PRONG_DELETE)
		mistake(builder, "%s: it needs a method, PRONG_GET … PRONG_DELETE", user);
	if (!route->handler)
		mistake(builder, "%s: it has no handler", user);
	if (route->method == PRONG_GET && route->body)
		mistake(builder, "%s: a GET takes no body", user);
	if (route->access && !access_name(route->access))
		mistake(builder, "%s: its access is none of PRONG_PUBLIC, PRONG_SIGNED_IN, PRONG_ADMIN", user);
	if (route->access <= PRONG_PUBLIC && (route->scope || route->recent))
		mistake(builder, "%s: it asks for %s, so its access is PRONG_SIGNED_IN or PRONG_ADMIN", user,
			route->scope ? "a scope" : "a recent sign-in");
	if (route->scope && !scope_is_valid(route->scope))
		mistake(builder, "%s: '%s' is no scope: a name is " SCOPE_RULE, user, route->scope);
	if (route->timeout < 0)
		mistake(builder, "%s: its timeout is negative", user);
	check_schema(builder, user, route->body);
	check_schema(builder, user, route->query);
	check_schema(builder, user, route->reply);
	check_query(builder, user, route->query);
}

static void check_routes(struct builder *builder)
{
	struct registry *registry = builder->registry;
	const char **shapes = arena_alloc(&builder->arena, (registry->n_routes + 1) * sizeof(*shapes));
	bool accounts = registry_module(registry, ACCOUNTS_MODULE);

	for (size_t i = 0; i < registry->n_routes; i++) {
		const struct prong_route *route = registry->routes[i];
		const char *reason = "";

		check_route(builder, route);
		if (!route->access && accounts)
			mistake(builder,
				"%s: say who may use it: .access = PRONG_PUBLIC, PRONG_SIGNED_IN or PRONG_ADMIN",
				route_name(builder, route));
		if (route->access > PRONG_PUBLIC && access_name(route->access) && !accounts)
			mistake(builder, "%s: %s needs the module prong_accounts: add it to .modules",
				route_name(builder, route), access_name(route->access));
		shapes[i] = path_shape(builder, route->path, &reason);
		if (!shapes[i])
			mistake(builder, "%s: %s", route_name(builder, route), reason);
		for (size_t j = 0; shapes[i] && j < i; j++)
			if (shapes[j] && registry->routes[j]->method == route->method &&
			    string_equal(shapes[i], shapes[j]))
				mistake(builder, "%s: it is already there as %s", route_name(builder, route),
					route_name(builder, registry->routes[j]));
	}
}

/* ---- jobs and modules ---- */

static void check_jobs(struct builder *builder)
{
	struct registry *registry = builder->registry;

	for (size_t i = 0; i < registry->n_jobs; i++) {
		const struct prong_job *job = registry->jobs[i];
		const char *user = arena_format(&builder->arena, "job %s", job->name ? job->name : "(no name)");

		if (!job->name || !is_name(job->name, strlen(job->name), false))
			mistake(builder, "%s: its name must be letters, digits and '_'", user);
		if (!job->run)
			mistake(builder, "%s: it has no function", user);
		if (!is_queue_name(job_queue_name(job)))
			mistake(builder, "%s: '%s' is no queue: a name is letters, digits, '_' and '-'", user,
				job_queue_name(job));
		if (job->max_attempts < 0 || job->max_crashes < 0)
			mistake(builder, "%s: max_attempts or max_crashes is negative", user);
		if (job->isolation != PRONG_COROUTINE && job->isolation != PRONG_PROCESS)
			mistake(builder, "%s: its isolation is neither PRONG_COROUTINE nor PRONG_PROCESS", user);
		if (job->timeout < 0 || job->backoff < 0 || job->max_backoff < 0 || job->keep_result < 0)
			mistake(builder, "%s: a duration of it is negative", user);
		check_schema(builder, user, job->payload);
		check_schema(builder, user, job->result);
		for (size_t j = 0; job->name && j < i; j++)
			if (registry->jobs[j]->name && string_equal(registry->jobs[j]->name, job->name))
				mistake(builder, "%s: there are two of that name", user);
	}
}

static void check_modules(struct builder *builder)
{
	struct registry *registry = builder->registry;

	for (size_t i = 0; i < registry->n_modules; i++) {
		const char *name = registry->modules[i]->name;

		if (!name || !is_name(name, strlen(name), false))
			mistake(builder, "module %s: its name must be letters, digits and '_'",
				name ? name : "(no name)");
		else if (string_equal(name, APP_SEQUENCE))
			mistake(builder, "module %s: that name is the application's own", name);
		for (size_t j = 0; name && j < i; j++)
			if (registry->modules[j]->name && string_equal(registry->modules[j]->name, name))
				mistake(builder, "module %s: there are two of that name", name);
	}
}

static int compare_queues(const void *a, const void *b)
{
	const struct prong_queue *one = a, *other = b;

	return strcmp(one->name, other->name);
}

static const struct prong_queue *find_listed(const struct builder *builder, const char *name)
{
	for (size_t i = 0; i < builder->n_queues; i++)
		if (string_equal(builder->queues[i]->name, name))
			return builder->queues[i];
	return NULL;
}

static void set_default(int *value, int otherwise)
{
	if (!*value)
		*value = otherwise;
}

/* The queues of all jobs, with the rules of those that are listed. */
static void collect_queues(struct builder *builder)
{
	struct registry *registry = builder->registry;

	registry->queues = allocate_array(registry->n_jobs + 1, sizeof(*registry->queues));
	for (size_t i = 0; i < registry->n_jobs; i++) {
		const char *name = job_queue_name(registry->jobs[i]);
		const struct prong_queue *listed = find_listed(builder, name);
		struct prong_queue *queue = &registry->queues[registry->n_queues];

		if (registry_queue(registry, name))
			continue;
		*queue = listed ? *listed : (struct prong_queue){ .name = name };
		set_default(&queue->weight, 1);
		set_default(&queue->shards, 1);
		set_default(&queue->max_dead, DEFAULT_MAX_DEAD);
		set_default(&queue->max_results, DEFAULT_MAX_RESULTS);
		if (!queue->dead_age)
			queue->dead_age = DEFAULT_DEAD_AGE;
		registry->n_queues++;
	}
	qsort(registry->queues, registry->n_queues, sizeof(*registry->queues), compare_queues);
}

static void check_rate(struct builder *builder, const char *name, const char *what, struct prong_rate rate)
{
	if (rate.count < 0 || rate.per < 0 || (rate.count > 0) != (rate.per > 0) || rate.per > MAX_RATE_PER)
		mistake(builder, "queue %s: %s needs a count and a time of at most a day, both above 0", name, what);
}

/* With several shards each has its share of a limit, which must be something. */
static void check_share(struct builder *builder, const struct prong_queue *queue, const char *what, int64_t value)
{
	if (value < 0)
		mistake(builder, "queue %s: %s is negative", queue->name, what);
	else if (value > 0 && value < queue->shards)
		mistake(builder, "queue %s: %s must be at least its number of shards", queue->name, what);
}

static void check_queue(struct builder *builder, const struct prong_queue *queue)
{
	check_rate(builder, queue->name, "rate", queue->rate);
	check_rate(builder, queue->name, "key_rate", queue->key_rate);
	if (queue->shards < 0 || queue->shards > MAX_SHARDS)
		mistake(builder, "queue %s: it has 1 to %d shards", queue->name, MAX_SHARDS);
	check_share(builder, queue, "concurrency", queue->concurrency);
	check_share(builder, queue, "rate.count", queue->rate.count);
	check_share(builder, queue, "max_bytes", queue->max_bytes);
	if (queue->rank < 0 || queue->weight < 0 || queue->key_concurrency < 0 || queue->max_dead < 0 ||
	    queue->max_results < 0 || queue->dead_age < 0)
		mistake(builder, "queue %s: a number of it is negative", queue->name);
}

static void check_queues(struct builder *builder)
{
	for (size_t i = 0; i < builder->n_queues; i++) {
		const struct prong_queue *queue = builder->queues[i];

		if (!queue->name || !is_queue_name(queue->name)) {
			mistake(builder, "queue %s: a name is letters, digits, '_' and '-'",
				queue->name ? queue->name : "(no name)");
			continue;
		}
		if (find_listed(builder, queue->name) != queue)
			mistake(builder, "queue %s: it is listed twice", queue->name);
		if (!registry_queue(builder->registry, queue->name))
			mistake(builder, "queue %s: no job has it as its .queue", queue->name);
		check_queue(builder, queue);
	}
}

static bool is_listed(const struct registry *registry, const struct prong_job *job)
{
	for (size_t i = 0; i < registry->n_jobs; i++)
		if (registry->jobs[i]->name && job->name && string_equal(registry->jobs[i]->name, job->name))
			return true;
	return false;
}

static void check_schedules(struct builder *builder)
{
	struct registry *registry = builder->registry;

	for (size_t i = 0; i < registry->n_schedules; i++) {
		const struct prong_schedule *entry = registry->schedules[i].entry;
		const char *name = entry->name ? entry->name : "(no name)";

		if (!entry->name || !is_name(name, strlen(name), true))
			mistake(builder, "schedule %s: its name must be letters, digits, '_' and '-'", name);
		for (size_t j = 0; entry->name && j < i; j++)
			if (registry->schedules[j].entry->name &&
			    string_equal(registry->schedules[j].entry->name, name))
				mistake(builder, "schedule %s: there are two of that name", name);
		if (!entry->job)
			mistake(builder, "schedule %s: it has no job", name);
		else if (!is_listed(registry, entry->job))
			mistake(builder, "schedule %s: its job %s is unknown: add it to .jobs", name,
				entry->job->name ? entry->job->name : "(no name)");
		if (schedule_load(entry, &registry->schedules[i], builder->mistakes) < 0)
			builder->n_mistakes++;
	}
}

/* ---- gathering ---- */

static bool route_is_end(const struct prong_route *route)
{
	return !route->method && !route->path && !route->handler;
}

/* Nothing of an entry behind the end may be looked at but its method, which then is most likely half an address. */
static void add_routes(struct builder *builder, const char *owner, const struct prong_route *routes)
{
	struct registry *registry = builder->registry;

	for (; routes && !route_is_end(routes); routes++) {
		if ((unsigned)routes->method > PRONG_DELETE) {
			mistake(builder, "the routes of %s: no method, or no empty entry {} at the end of the list",
				owner ? owner : "the application");
			return;
		}
		if (builder->public_only && routes->access > PRONG_PUBLIC)
			continue;
		registry->routes = reallocate(registry->routes, (registry->n_routes + 1) * sizeof(*registry->routes));
		registry->routes[registry->n_routes++] = routes;
	}
}

static void add_jobs(struct registry *registry, const struct prong_job *const *jobs)
{
	for (; jobs && *jobs; jobs++) {
		registry->jobs = reallocate(registry->jobs, (registry->n_jobs + 1) * sizeof(*registry->jobs));
		registry->jobs[registry->n_jobs++] = *jobs;
	}
}

static void add_queues(struct builder *builder, const struct prong_queue *const *queues)
{
	for (; queues && *queues; queues++) {
		const struct prong_queue **more = arena_alloc(&builder->arena, (builder->n_queues + 1) * sizeof(*more));

		if (builder->n_queues)
			memcpy(more, builder->queues, builder->n_queues * sizeof(*more));
		more[builder->n_queues++] = *queues;
		builder->queues = more;
	}
}

static void add_schedules(struct registry *registry, const struct prong_schedule *const *schedules)
{
	for (; schedules && *schedules; schedules++) {
		registry->schedules =
			reallocate(registry->schedules, (registry->n_schedules + 1) * sizeof(*registry->schedules));
		registry->schedules[registry->n_schedules++] = (struct schedule){ .entry = *schedules };
	}
}

static void add_modules(struct builder *builder, const struct prong_module *const *modules)
{
	struct registry *registry = builder->registry;

	for (; modules && *modules; modules++) {
		registry->modules =
			reallocate(registry->modules, (registry->n_modules + 1) * sizeof(*registry->modules));
		registry->modules[registry->n_modules++] = *modules;
		add_routes(builder, (*modules)->name, (*modules)->routes);
		add_jobs(registry, (*modules)->jobs);
		add_queues(builder, (*modules)->queues);
		add_schedules(registry, (*modules)->schedules);
	}
}

static bool lists_module(const struct prong_module *const *modules, const char *name)
{
	for (; modules && *modules; modules++)
		if ((*modules)->name && string_equal((*modules)->name, name))
			return true;
	return false;
}

int registry_new(const struct prong_app *app, const struct prong_module *const *builtin, struct registry **ret_registry,
		 struct buffer *mistakes)
{
	struct builder builder = { .registry = allocate(sizeof(struct registry)), .mistakes = mistakes };
	struct registry *registry = builder.registry;

	arena_init(&builder.arena);
	registry->app = app;
	builder.public_only = !lists_module(app->modules, ACCOUNTS_MODULE);
	add_modules(&builder, builtin);
	builder.public_only = false;
	add_modules(&builder, app->modules);
	add_routes(&builder, app->name, app->routes);
	add_jobs(registry, app->jobs);
	add_queues(&builder, app->queues);
	add_schedules(registry, app->schedules);
	collect_queues(&builder);

	if (!app->name || !*app->name)
		mistake(&builder, "the application has no .name");
	if (!app->version || !*app->version)
		mistake(&builder, "the application has no .version");
	check_modules(&builder);
	if (app->claims && !registry_module(builder.registry, ACCOUNTS_MODULE))
		mistake(&builder, "the application's .claims need the module prong_accounts: add it to .modules");
	check_routes(&builder);
	check_jobs(&builder);
	check_schedules(&builder);
	check_queues(&builder);
	arena_reset(&builder.arena);

	if (builder.n_mistakes) {
		registry_free(registry);
		return -EINVAL;
	}
	*ret_registry = registry;
	return 0;
}

struct registry *registry_free(struct registry *registry)
{
	if (!registry)
		return NULL;
	free(registry->routes);
	free(registry->jobs);
	free(registry->modules);
	free(registry->queues);
	for (size_t i = 0; i < registry->n_schedules; i++)
		schedule_unload(&registry->schedules[i]);
	free(registry->schedules);
	free(registry);
	return NULL;
}

const struct prong_module *registry_module(const struct registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->n_modules; i++)
		if (registry->modules[i]->name && string_equal(registry->modules[i]->name, name))
			return registry->modules[i];
	return NULL;
}

size_t registry_shards(const struct registry *registry)
{
	size_t n = 0;

	for (size_t i = 0; i < registry->n_queues; i++)
		n += (size_t)registry->queues[i].shards;
	return n;
}

const struct prong_job *registry_job(const struct registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->n_jobs; i++)
		if (string_equal(registry->jobs[i]->name, name))
			return registry->jobs[i];
	return NULL;
}

const struct prong_queue *registry_queue(const struct registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->n_queues; i++)
		if (string_equal(registry->queues[i].name, name))
			return &registry->queues[i];
	return NULL;
}

const struct schedule *registry_schedule(const struct registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->n_schedules; i++)
		if (string_equal(registry->schedules[i].entry->name, name))
			return &registry->schedules[i];
	return NULL;
}

bool registry_isolates(const struct registry *registry)
{
	for (size_t i = 0; i < registry->n_jobs; i++)
		if (registry->jobs[i]->isolation == PRONG_PROCESS)
			return true;
	return false;
}

const char *job_queue_name(const struct prong_job *job)
{
	return job->queue ? job->queue : DEFAULT_QUEUE;
}

int job_max_attempts(const struct prong_job *job)
{
	return job->max_attempts ? job->max_attempts : DEFAULT_MAX_ATTEMPTS;
}

prong_duration job_timeout(const struct prong_job *job)
{
	return job->timeout ? job->timeout : DEFAULT_TIMEOUT;
}
