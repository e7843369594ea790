/* The built-in module `jobs`: the tables of durable jobs, schedules and history, which every application has. */
#ifndef MODULE_H
#define MODULE_H

#include <prong/app.h>

extern const struct prong_module jobs_module;

#endif
