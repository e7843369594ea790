/*
 * A time zone of the IANA database, read from the system's compiled files (RFC 8536). The C library would read it by
 * the environment of the whole process, which nobody may change while there are threads. Read-only once loaded.
 */
#ifndef ZONE_H
#define ZONE_H

#include <stddef.h>
#include <stdint.h>

struct zone;

/*
 * Loads a zone by its name, such as "Europe/Berlin"; "UTC" needs no file. 0; -ENOENT: there is none of that name;
 * -EINVAL: its file cannot be used. Then `ret_reason` (malloc'ed) says why in words that fit after the name.
 */
int zone_load(const char *name, struct zone **ret_zone, char **ret_reason);
struct zone *zone_free(struct zone *zone); /* returns NULL */
void zone_freep(struct zone **zone);	   /* for _cleanup_ */

/* The same from the content of a file. 0; -EINVAL: it is no file of a zone, or one that counts leap seconds. */
int zone_parse(const char *data, size_t size, struct zone **ret_zone);

/* A time between two changes of the clocks: from `start` to before `end`, in seconds since 1970-01-01T00:00:00Z. */
struct zone_span {
	int64_t start, end; /* INT64_MIN, INT64_MAX: for ever */
	int64_t offset;	    /* local time − UTC, in seconds */
	int64_t before;	    /* what it was before `start`; the same where nothing is known before */
};

/* The span that `time` is in. After the year 2500 the clocks change no more. */
struct zone_span zone_span_at(const struct zone *zone, int64_t time);

#endif
