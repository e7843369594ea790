#include "server/http/router.h"
#include "tests/unit/test.h"

static const struct prong_route table[] = {
	{ PRONG_GET, "/" },
	{ PRONG_GET, "/v1/notes" },
	{ PRONG_POST, "/v1/notes" },
	{ PRONG_GET, "/v1/notes/{id}" },
	{ PRONG_DELETE, "/v1/notes/{note}" },
	{ PRONG_GET, "/v1/notes/search" },
	{ PRONG_POST, "/v1/notes/search/now" },
	{ PRONG_PUT, "/v1/notes/{id}/tags/{tag}" },
	{ PRONG_PATCH, "/v1/{kind}/{id}/{part}" },
	{ PRONG_GET, "/{any}" },
};

static struct router *build(void)
{
	const struct prong_route *routes[ARRAY_SIZE(table)];
	struct registry registry = { .n_routes = ARRAY_SIZE(table), .routes = routes };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		routes[i] = &table[i];
	return router_new(&registry);
}

static char space[256];

static int match(const struct router *router, enum prong_method method, const char *path, struct route_match *ret_match)
{
	struct http_text segments[HTTP_MAX_SEGMENTS];
	size_t count;
	int r;

	r = http_split_path((struct http_text){ path, strlen(path) }, space, segments, &count);
	CU_ASSERT_EQUAL_FATAL(r, 0);
	return router_match(router, method, segments, count, ret_match);
}

TEST(router, finds_routes)
{
	static const struct {
		enum prong_method method;
		const char *path;
		const char *route;
	} cases[] = {
		{ PRONG_GET, "/", "/" },
		{ PRONG_GET, "/v1/notes", "/v1/notes" },
		{ PRONG_POST, "/v1/notes", "/v1/notes" },
		{ PRONG_GET, "/v1/notes/1", "/v1/notes/{id}" },
		{ PRONG_DELETE, "/v1/notes/1", "/v1/notes/{note}" },
		{ PRONG_GET, "/v1/notes/search", "/v1/notes/search" },
		{ PRONG_GET, "/v1/notes/searches", "/v1/notes/{id}" },
		{ PRONG_POST, "/v1/notes/search/now", "/v1/notes/search/now" },
		{ PRONG_PUT, "/v1/notes/1/tags/red", "/v1/notes/{id}/tags/{tag}" },
		{ PRONG_PUT, "/v1/notes/search/tags/red", "/v1/notes/{id}/tags/{tag}" },
		{ PRONG_PATCH, "/v1/notes/search/other", "/v1/{kind}/{id}/{part}" },
		{ PRONG_PATCH, "/v1/cats/2/tail", "/v1/{kind}/{id}/{part}" },
		{ PRONG_GET, "/v1", "/{any}" },
		{ PRONG_GET, "/v%31/notes", "/v1/notes" },
	};
	struct router *router = build();
	struct route_match found;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_EQUAL_FATAL(match(router, cases[i].method, cases[i].path, &found), 0);
		CU_ASSERT_STRING_EQUAL(found.route->path, cases[i].route);
		CU_ASSERT_EQUAL(found.route->method, cases[i].method);
		CU_ASSERT_PTR_EQUAL(found.route, &table[found.index]);
	}
	router_free(router);
}

static void expect_parameter(const struct route_match *found, size_t i, const char *name, const char *value)
{
	CU_ASSERT_FATAL(i < found->n_parameters);
	CU_ASSERT_STRING_EQUAL(found->names[i], name);
	CU_ASSERT_STRING_EQUAL(found->values[i].data, value);
	CU_ASSERT_EQUAL(found->values[i].size, strlen(value));
}

TEST(router, gives_parameters)
{
	struct router *router = build();
	struct route_match found;

	CU_ASSERT_EQUAL(match(router, PRONG_GET, "/v1/notes/a%20b", &found), 0);
	CU_ASSERT_EQUAL(found.n_parameters, 1);
	expect_parameter(&found, 0, "id", "a b");

	CU_ASSERT_EQUAL(match(router, PRONG_DELETE, "/v1/notes/7", &found), 0);
	expect_parameter(&found, 0, "note", "7");

	CU_ASSERT_EQUAL(match(router, PRONG_PUT, "/v1/notes/search/tags/x", &found), 0);
	CU_ASSERT_EQUAL(found.n_parameters, 2);
	expect_parameter(&found, 0, "id", "search");
	expect_parameter(&found, 1, "tag", "x");

	/* Two branches are tried before: what they took must not stay. */
	CU_ASSERT_EQUAL(match(router, PRONG_PATCH, "/v1/notes/search/other", &found), 0);
	CU_ASSERT_EQUAL(found.n_parameters, 3);
	expect_parameter(&found, 0, "kind", "notes");
	expect_parameter(&found, 1, "id", "search");
	expect_parameter(&found, 2, "part", "other");

	CU_ASSERT_EQUAL(match(router, PRONG_GET, "/v1/notes/search", &found), 0);
	CU_ASSERT_EQUAL(found.n_parameters, 0);
	router_free(router);
}

TEST(router, knows_nothing_else)
{
	static const char *const paths[] = {
		"/v1/notes/", "/v1//notes", "//", "/V1/notes", "/v1/notes/1/tags/", "/a/b", "/v1/notes/1/tags/red/x",
		"//v1/notes"
	};
	struct router *router = build();
	struct route_match found;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CU_ASSERT_EQUAL(match(router, PRONG_GET, paths[i], &found), -ENOENT);
		CU_ASSERT_PTR_NULL(found.route);
		CU_ASSERT_PTR_NULL(found.allow);
	}
	router_free(router);
}

TEST(router, says_what_is_allowed)
{
	static const struct {
		enum prong_method method;
		const char *path, *allow;
	} cases[] = {
		{ PRONG_PUT, "/v1/notes", "GET, HEAD, POST" },
		{ 0, "/v1/notes", "GET, HEAD, POST" },
		{ PRONG_PATCH, "/v1/notes/1", "GET, HEAD, DELETE" },
		{ PRONG_DELETE, "/v1/notes/search", "GET, HEAD" },
		{ PRONG_GET, "/v1/notes/search/now", "POST" },
		{ PRONG_GET, "/v1/notes/1/tags/2", "PUT" },
		{ PRONG_POST, "/", "GET, HEAD" },
	};
	struct router *router = build();
	struct route_match found;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CU_ASSERT_EQUAL(match(router, cases[i].method, cases[i].path, &found), -EOPNOTSUPP);
		CU_ASSERT_PTR_NULL(found.route);
		CU_ASSERT_STRING_EQUAL(found.allow, cases[i].allow);
	}
	CU_ASSERT_EQUAL(match(router, PRONG_GET, "/v1/notes", &found), 0);
	CU_ASSERT_STRING_EQUAL(found.allow, "GET, HEAD, POST");
	router_free(router);
}

TEST(router, may_be_empty)
{
	struct router *router = router_new(&(struct registry){ 0 });
	struct route_match found;

	CU_ASSERT_EQUAL(match(router, PRONG_GET, "/", &found), -ENOENT);
	CU_ASSERT_EQUAL(match(router, PRONG_GET, "/a", &found), -ENOENT);
	CU_ASSERT_PTR_NULL(router_free(router));
	CU_ASSERT_PTR_NULL(router_free(NULL));
}
