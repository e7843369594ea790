#include "server/http/router.h"

/* A route at the node where its path ends, with the names of its own parameters in their order. */
struct endpoint {
	const struct prong_route *route; /* NULL: not with this method */
	size_t index;
	size_t n_parameters;
	char *names[ROUTER_MAX_PARAMETERS];
};

struct node {
	char *literal; /* NULL: the root, or the {name} child */
	size_t size;
	struct node **literals;
	size_t n_literals;
	struct node *parameter;
	struct endpoint *endpoints; /* by method; NULL: no path ends here */
	char *allow;
};

struct router {
	struct node root;
};

#define N_METHODS (PRONG_DELETE + 1)

static struct node *node_literal(const struct node *node, const char *text, size_t size)
{
	for (size_t i = 0; i < node->n_literals; i++) {
		struct node *child = node->literals[i];

		if (child->size == size && memcmp(child->literal, text, size) == 0)
			return child;
	}
	return NULL;
}

static char *copy_text(const char *text, size_t size)
{
	char *copy = allocate(size + 1);

	memcpy(copy, text, size);
	return copy;
}

/* The child for one segment of a route's path, made where there is none. */
static struct node *node_child(struct node *node, const char *text, size_t size)
{
	struct node *child;

	if (text[0] == '{') {
		if (!node->parameter)
			node->parameter = allocate(sizeof(struct node));
		return node->parameter;
	}
	child = node_literal(node, text, size);
	if (child)
		return child;
	child = allocate(sizeof(struct node));
	child->literal = copy_text(text, size);
	child->size = size;
	node->literals = reallocate(node->literals, (node->n_literals + 1) * sizeof(struct node *));
	node->literals[node->n_literals++] = child;
	return child;
}

static void router_add(struct router *router, const struct prong_route *route, size_t index)
{
	struct endpoint endpoint = { .route = route, .index = index };
	struct node *node = &router->root;
	const char *at = route->path;

	while (*at == '/' && at[1] != '\0') {
		const char *text = at + 1;
		size_t size = strcspn(text, "/");

		if (text[0] == '{') {
			check(size > 2 && text[size - 1] == '}' && endpoint.n_parameters < ROUTER_MAX_PARAMETERS);
			endpoint.names[endpoint.n_parameters++] = copy_text(text + 1, size - 2);
		}
		node = node_child(node, text, size);
		at = text + size;
	}
	check(route->method >= PRONG_GET && route->method < N_METHODS);
	if (!node->endpoints)
		node->endpoints = allocate_array(N_METHODS, sizeof(struct endpoint));
	check(!node->endpoints[route->method].route);
	node->endpoints[route->method] = endpoint;
}

static void node_finish(struct node *node)
{
	static const char *const names[N_METHODS] = { "", "GET, HEAD", "POST", "PUT", "PATCH", "DELETE" };
	struct buffer allow = { 0 };

	for (size_t method = PRONG_GET; node->endpoints && method < N_METHODS; method++) {
		if (!node->endpoints[method].route)
			continue;
		if (allow.size)
			buffer_add_literal(&allow, ", ");
		buffer_add_string(&allow, names[method]);
	}
	if (allow.size)
		node->allow = duplicate(buffer_text(&allow));
	buffer_free(&allow);

	for (size_t i = 0; i < node->n_literals; i++)
		node_finish(node->literals[i]);
	if (node->parameter)
		node_finish(node->parameter);
}

static void node_clear(struct node *node)
{
	for (size_t method = 0; node->endpoints && method < N_METHODS; method++) {
		for (size_t i = 0; i < node->endpoints[method].n_parameters; i++)
			free(node->endpoints[method].names[i]);
	}
	for (size_t i = 0; i < node->n_literals; i++) {
		node_clear(node->literals[i]);
		free(node->literals[i]);
	}
	if (node->parameter)
		node_clear(node->parameter);
	free(node->parameter);
	free(node->literals);
	free(node->literal);
	free(node->endpoints);
	free(node->allow);
}

struct router *router_new(const struct registry *registry)
{
	struct router *router = allocate(sizeof(struct router));

	for (size_t i = 0; i < registry->n_routes; i++)
		router_add(router, registry->routes[i], i);
	node_finish(&router->root);
	return router;
}

struct router *router_free(struct router *router)
{
	if (router)
		node_clear(&router->root);
	free(router);
	return NULL;
}

/*
 * The node where the segments end, preferring literals; the values under way go to `ret_match`. Goes back to {name}
 * where a literal leads nowhere: every node is visited at most once, so the tree bounds the work.
 */
static const struct node *node_find(const struct node *node, const struct http_text *segments, size_t n_segments,
				    struct route_match *ret_match)
{
	const struct node *child, *found;

	if (n_segments == 0)
		return node->endpoints ? node : NULL;
	if (segments->size == 0)
		return NULL;
	child = node_literal(node, segments->data, segments->size);
	found = child ? node_find(child, segments + 1, n_segments - 1, ret_match) : NULL;
	if (found || !node->parameter)
		return found;

	/* A route has at most this many; a deeper {name} here leads to none. */
	if (ret_match->n_parameters == ROUTER_MAX_PARAMETERS)
		return NULL;
	ret_match->values[ret_match->n_parameters++] = *segments;
	found = node_find(node->parameter, segments + 1, n_segments - 1, ret_match);
	if (!found)
		ret_match->n_parameters--;
	return found;
}

int router_match(const struct router *router, enum prong_method method, const struct http_text *segments,
		 size_t n_segments, struct route_match *ret_match)
{
	const struct endpoint *endpoint;
	const struct node *node;

	ret_match->route = NULL;
	ret_match->allow = NULL;
	ret_match->n_parameters = 0;
	node = node_find(&router->root, segments, n_segments, ret_match);
	if (!node)
		return -ENOENT;
	ret_match->allow = node->allow;
	endpoint = &node->endpoints[method];
	if (!endpoint->route)
		return -EOPNOTSUPP;
	ret_match->route = endpoint->route;
	ret_match->index = endpoint->index;
	for (size_t i = 0; i < endpoint->n_parameters; i++)
		ret_match->names[i] = endpoint->names[i];
	return 0;
}
