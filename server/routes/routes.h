/* The routes that every application has: health and metrics. */
#ifndef ROUTES_H
#define ROUTES_H

#include <prong/app.h>

/* A built-in module for registry_new(). */
extern const struct prong_module http_builtin_module;

/* Whether a route is one of this module's: those are answered even when MAX_REQUESTS handlers run. */
bool routes_is_builtin(const struct prong_route *route);

/* Handlers. */
prong_handler health_live, health_ready, health_startup; /* health.c */
prong_handler metrics_show;				 /* metrics.c */

#endif
