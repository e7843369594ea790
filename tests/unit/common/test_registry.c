#include "common/registry.h"

#include "tests/unit/test.h"

struct thing {
	const char *text;
	prong_json json;
};

/* clang-format off */
PRONG_SCHEMA(thing,
	PRONG_FIELD(thing, text),
	PRONG_FIELD(thing, json));
/* clang-format on */

struct wrong {
	int32_t number;
};

PRONG_SCHEMA(wrong, PRONG_FIELD(wrong, number, .nullable = true));

static int handler(struct prong_ctx *ctx)
{
	(void)ctx;
	return 0;
}

PRONG_JOB(handler, .queue = "search", .max_attempts = 3, .timeout = PRONG_SECONDS(5));

static const struct prong_job plain = { .name = "plain", .run = handler };
static const struct prong_job beta = { .name = "beta", .run = handler, .queue = "beta" };

static const struct prong_route module_routes[] = {
	{ PRONG_GET, "/module", handler },
	{},
};
static const struct prong_module module = {
	.name = "module",
	.routes = module_routes,
	.jobs = PRONG_JOBS(&plain),
};

/* The mistakes of an application with these lists; "" when it is right. */
static char *mistakes_of(const struct prong_app *app)
{
	struct registry *registry = NULL;
	struct buffer mistakes = { 0 };
	char *text;

	if (registry_new(app, NULL, &registry, &mistakes) == 0)
		registry_free(registry);
	text = duplicate(buffer_text(&mistakes));
	buffer_free(&mistakes);
	return text;
}

static bool path_is_right(const char *path)
{
	const struct prong_route routes[] = { { PRONG_GET, path, handler }, {} };
	_cleanup_(freep) char *text =
		mistakes_of(&(struct prong_app){ .name = "app", .version = "1", .routes = routes });

	return !*text;
}

TEST(registry, gathers_in_order)
{
	const struct prong_route routes[] = {
		{ PRONG_GET, "/", handler, .query = NULL },
		{ PRONG_POST, "/v1/things/{id}", handler, .body = &thing_schema, .reply = &thing_schema },
		{ PRONG_PUT, "/v1/things/{name}", handler, .body = &thing_schema },
		{ PRONG_POST, "/v1/things/search", handler },
		{},
	};
	const struct prong_app app = {
		.name = "app",
		.version = "1",
		.routes = routes,
		.jobs = PRONG_JOBS(&handler_job, &beta),
		.modules = PRONG_MODULES(&module),
	};
	struct registry *registry = NULL;
	struct buffer mistakes = { 0 };

	CU_ASSERT_EQUAL_FATAL(registry_new(&app, NULL, &registry, &mistakes), 0);
	CU_ASSERT_EQUAL_FATAL(registry->n_routes, 5);
	CU_ASSERT_STRING_EQUAL(registry->routes[0]->path, "/module");
	CU_ASSERT_STRING_EQUAL(registry->routes[4]->path, "/v1/things/search");
	CU_ASSERT_EQUAL_FATAL(registry->n_jobs, 3);
	CU_ASSERT_PTR_EQUAL(registry->jobs[0], &plain);
	CU_ASSERT_EQUAL(registry->n_modules, 1);
	CU_ASSERT_EQUAL_FATAL(registry->n_queues, 3);
	CU_ASSERT_STRING_EQUAL(registry->queues[0].name, "beta");
	CU_ASSERT_STRING_EQUAL(registry->queues[1].name, "default");
	CU_ASSERT_STRING_EQUAL(registry->queues[2].name, "search");
	CU_ASSERT_PTR_EQUAL(registry_job(registry, "handler"), &handler_job);
	CU_ASSERT_PTR_NULL(registry_job(registry, "nobody"));
	CU_ASSERT_EQUAL(job_max_attempts(&handler_job), 3);
	CU_ASSERT_EQUAL(job_max_attempts(&plain), 20);
	CU_ASSERT_EQUAL(job_timeout(&handler_job), PRONG_SECONDS(5));
	CU_ASSERT_EQUAL(job_timeout(&plain), PRONG_SECONDS(60));
	registry_free(registry);
	buffer_free(&mistakes);
}

TEST(registry, knows_a_wrong_path)
{
	static const char *const right[] = { "/", "/a", "/a/{b}", "/a/{b}/c/{d_1}", "/.well-known/jwks.json", "/a:b" };
	static const char *const wrong_ones[] = { "",	    "a",      "/a/",	   "//a",      "/a//b", "/{",	"/{}",
						  "/{a b}", "/a{b}",  "/{b}c",	   "/a/..",    "/./a",	"/a?b", "/a#b",
						  "/a b",   "/a%20b", "/\xc3\xa9", "/{x}/{x}", "/{1}" };

	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		CU_ASSERT(path_is_right(right[i]));
	for (size_t i = 0; i < ARRAY_SIZE(wrong_ones); i++)
		CU_ASSERT(!path_is_right(wrong_ones[i]));
	CU_ASSERT(path_is_right("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}"));
	CU_ASSERT(!path_is_right("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"));
}

static int no_claims(struct prong_ctx *ctx, prong_uuid account_id, prong_json *ret_claims)
{
	(void)ctx;
	(void)account_id;
	(void)ret_claims;
	return 0;
}

TEST(registry, reports_every_mistake_at_once)
{
	const struct prong_route routes[] = {
		{ PRONG_GET, "/module", handler },
		{ PRONG_POST, "/a/{x}", handler, .body = &wrong_schema },
		{ PRONG_POST, "/a/{y}", handler },
		{ PRONG_GET, "/b", NULL, .body = &thing_schema },
		{ 0, "/c", handler },
		{ PRONG_GET, "/d", handler, .query = &thing_schema },
		{ PRONG_GET, "/e", handler, .access = PRONG_SIGNED_IN },
		{ PRONG_GET, "/f", handler, .access = PRONG_ADMIN },
		{ PRONG_GET, "/g", handler, .access = PRONG_ADMIN + 1 },
		{ PRONG_GET, "/h", handler, .scope = "notes:read" },
		{ PRONG_GET, "/i", handler, .recent = true },
		{ PRONG_GET, "/j", handler, .access = PRONG_SIGNED_IN, .scope = "notes:read notes:write" },
		{ PRONG_GET, "/k", handler, .access = PRONG_SIGNED_IN, .scope = "" },
		{},
	};
	static const struct prong_job twin = { .name = "plain", .run = handler, .queue = "not ok" };
	static const struct prong_job empty = { .max_attempts = -1 };
	const struct prong_app app = {
		.name = "app",
		.routes = routes,
		.jobs = PRONG_JOBS(&twin, &empty),
		.modules = PRONG_MODULES(&module, &module),
		.claims = no_claims,
	};
	_cleanup_(freep) char *text = mistakes_of(&app);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "the application has no .version\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "the application's .claims need the module prong_accounts"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /module: it is already there as route GET /module\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route POST /a/{y}: it is already there as route POST /a/{x}\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route POST /a/{x}: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /b: it has no handler\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /b: a GET takes no body\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route (no method) /c: it needs a method"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /d: the field thing.json cannot stand in a query string"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /e: PRONG_SIGNED_IN needs the module prong_accounts"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /f: PRONG_ADMIN needs the module prong_accounts"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /g: its access is none of PRONG_PUBLIC, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /h: it asks for a scope, so its access is PRONG_SIGNED_IN or "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /i: it asks for a recent sign-in, so its access is "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /j: 'notes:read notes:write' is no scope: a name is 1 to 64 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "route GET /k: '' is no scope"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "job plain: there are two of that name\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "job plain: 'not ok' is no queue"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "job (no name): it has no function\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "job (no name): max_attempts or max_crashes is negative\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "module module: there are two of that name\n"));
}

TEST(registry, finds_accounts_by_their_module)
{
	static const struct prong_module accounts = { .name = ACCOUNTS_MODULE };
	static const struct prong_module app_module = { .name = "app" };
	const struct prong_route routes[] = {
		{ PRONG_GET, "/e", handler, .access = PRONG_SIGNED_IN },
		{ PRONG_GET, "/f", handler, .access = PRONG_ADMIN, .scope = "notes:write", .recent = true },
		{},
	};
	_cleanup_(freep) char *right = mistakes_of(&(struct prong_app){
		.name = "a", .version = "1", .routes = routes, .modules = PRONG_MODULES(&accounts) });
	_cleanup_(freep) char *reserved =
		mistakes_of(&(struct prong_app){ .name = "a", .version = "1", .modules = PRONG_MODULES(&app_module) });

	CU_ASSERT_STRING_EQUAL(right, "");
	CU_ASSERT_PTR_NOT_NULL(strstr(reserved, "module app: "));
}

TEST(registry, wants_to_hear_who_may_use_a_route_where_there_are_accounts)
{
	static const struct prong_module accounts = { .name = ACCOUNTS_MODULE };
	const struct prong_route routes[] = {
		{ PRONG_GET, "/a", handler },
		{ PRONG_GET, "/b", handler, .access = PRONG_PUBLIC },
		{},
	};
	_cleanup_(freep) char *with = mistakes_of(&(struct prong_app){
		.name = "a", .version = "1", .routes = routes, .modules = PRONG_MODULES(&accounts) });
	_cleanup_(freep) char *without =
		mistakes_of(&(struct prong_app){ .name = "a", .version = "1", .routes = routes });

	CU_ASSERT_STRING_EQUAL(with, "route GET /a: say who may use it: .access = PRONG_PUBLIC, PRONG_SIGNED_IN or "
				     "PRONG_ADMIN\n");
	CU_ASSERT_STRING_EQUAL(without, "");
}

static size_t routes_of(const struct prong_app *app, const struct prong_module *builtin)
{
	const struct prong_module *const modules[] = { builtin, NULL };
	struct registry *registry = NULL;
	struct buffer mistakes = { 0 };
	size_t count;

	CU_ASSERT_EQUAL_FATAL(registry_new(app, modules, &registry, &mistakes), 0);
	count = registry->n_routes;
	registry_free(registry);
	buffer_free(&mistakes);
	return count;
}

TEST(registry, leaves_out_built_in_routes_that_need_accounts)
{
	static const struct prong_module accounts = { .name = ACCOUNTS_MODULE };
	const struct prong_route routes[] = {
		{ PRONG_GET, "/public", handler, .access = PRONG_PUBLIC },
		{ PRONG_GET, "/own", handler, .access = PRONG_SIGNED_IN },
		{ PRONG_GET, "/admin", handler, .access = PRONG_ADMIN },
		{},
	};
	const struct prong_module builtin = { .name = "builtin", .routes = routes };

	CU_ASSERT_EQUAL(routes_of(&(struct prong_app){ .name = "a", .version = "1" }, &builtin), 1);
	CU_ASSERT_EQUAL(
		routes_of(&(struct prong_app){ .name = "a", .version = "1", .modules = PRONG_MODULES(&accounts) },
			  &builtin),
		3);
}

TEST(registry, notices_a_list_of_routes_without_end)
{
	/* What comes behind a list in memory: no method and no address. */
	struct prong_route routes[] = { { PRONG_GET, "/", handler }, { .method = 99, .path = (const char *)1 }, {} };
	_cleanup_(freep) char *text =
		mistakes_of(&(struct prong_app){ .name = "app", .version = "1", .routes = routes });

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "the routes of app: no method, or no empty entry {} at the end"));
}

TEST(registry, gathers_schedules)
{
	static const struct prong_schedule nightly = { .name = "nightly", .job = &plain, .cron = "0 3 * * *" };
	static const struct prong_schedule often = { .name = "often", .job = &beta, .every = PRONG_SECONDS(5) };
	const struct prong_module other = {
		.name = "other",
		.jobs = PRONG_JOBS(&plain),
		.schedules = PRONG_SCHEDULES(&nightly),
	};
	const struct prong_app app = {
		.name = "app",
		.version = "1",
		.jobs = PRONG_JOBS(&beta),
		.schedules = PRONG_SCHEDULES(&often),
		.modules = PRONG_MODULES(&other),
	};
	struct registry *registry = NULL;
	struct buffer mistakes = { 0 };

	CU_ASSERT_EQUAL_FATAL(registry_new(&app, NULL, &registry, &mistakes), 0);
	CU_ASSERT_EQUAL_FATAL(registry->n_schedules, 2);
	CU_ASSERT_PTR_EQUAL(registry->schedules[0].entry, &nightly);
	CU_ASSERT_STRING_EQUAL(registry_schedule(registry, "often")->plan, "every 5s");
	CU_ASSERT_PTR_NULL(registry_schedule(registry, "never"));
	registry_free(registry);
	buffer_free(&mistakes);
}

TEST(registry, reports_every_mistake_in_schedules)
{
	static const struct prong_schedule jobless = { .name = "a b", .cron = "@daily" };
	static const struct prong_schedule nameless = { .job = &plain, .cron = "daily" };
	static const struct prong_schedule unlisted = { .name = "unlisted", .job = &beta, .cron = "@daily" };
	static const struct prong_schedule same = { .name = "unlisted", .job = &plain, .every = 1 };
	_cleanup_(freep) char *text = mistakes_of(&(struct prong_app){
		.name = "app",
		.version = "1",
		.jobs = PRONG_JOBS(&plain),
		.schedules = PRONG_SCHEDULES(&jobless, &nameless, &unlisted, &same),
	});

	CU_ASSERT_STRING_EQUAL(text, "schedule a b: its name must be letters, digits, '_' and '-'\n"
				     "schedule a b: it has no job\n"
				     "schedule (no name): its name must be letters, digits, '_' and '-'\n"
				     "schedule (no name): its line \"daily\": it has 1 field: write five (minute, "
				     "hour, day of month, month, day of "
				     "week) or six (second before them)\n"
				     "schedule unlisted: its job beta is unknown: add it to .jobs\n"
				     "schedule unlisted: there are two of that name\n"
				     "schedule unlisted: its interval is less than a second\n");
}
