/* What the master runs and does not see into: made by prong_main(), the only place that knows server/ and worker/. */
#ifndef COMPOSITION_H
#define COMPOSITION_H

#include <prong/app.h>

#include "common/process.h"

struct composition {
	const struct prong_module *const *builtin;		 /* modules of every application; ends with NULL */
	process_main *mains[PROCESS_CLASSES];			 /* the program of each class */
	void (*define_metrics)(const struct registry *registry); /* before metrics_map() */
};

#endif
