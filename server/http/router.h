/*
 * The router: a tree of segments, built once by each http process from the registry, read-only afterwards. A literal
 * segment wins over {name}; there is no other precedence.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include "common/registry.h"
#include "server/http/parser.h"

struct router;

#define ROUTER_MAX_PARAMETERS 8

struct route_match {
	const struct prong_route *route; /* NULL: see the result */
	size_t index;			 /* of the route in the registry */
	size_t n_parameters;
	const char *names[ROUTER_MAX_PARAMETERS];
	struct http_text values[ROUTER_MAX_PARAMETERS];
	const char *allow; /* "GET, HEAD, POST": of the path, whatever the method */
};

struct router *router_new(const struct registry *registry); /* borrows the registry */
struct router *router_free(struct router *router);	    /* returns NULL */

/*
 * 0; -ENOENT: no such path; -EOPNOTSUPP: the path exists, not with this method, and only `allow` is set. HEAD is looked
 * up as GET; method 0 has no route. An empty segment matches nothing. `values` are `segments`' texts; `names` are the
 * router's.
 */
int router_match(const struct router *router, enum prong_method method, const struct http_text *segments,
		 size_t n_segments, struct route_match *ret_match);

#endif
