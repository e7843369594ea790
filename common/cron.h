/*
 * Lines of cron, as Debian's cron (Vixie) reads them: five fields, or six with the seconds first.
 *
 *     ┌ second 0–59 (only where there are six; otherwise 0)
 *     │ ┌ minute 0–59
 *     │ │ ┌ hour 0–23
 *     │ │ │ ┌ day of month 1–31
 *     │ │ │ │ ┌ month 1–12 or jan–dec
 *     │ │ │ │ │ ┌ day of week 0–7 (0 and 7: Sunday) or sun–sat
 *     0 0 3 * * mon-fri
 *
 * A field is *, a number, a range such as 1-5, one of * and a range with a step behind it such as 8-18/2, or several of
 * these with commas between. @hourly, @daily (@midnight), @weekly, @monthly and @yearly (@annually) are known too.
 *
 * Where both day of month and day of week are restricted (begin with no *), a day that either names will do.
 *
 * When the clocks change, it matters whether the line names a time of day, so that neither its minute nor its hour
 * begins with *. A named time that the clocks skip is run once, at the end of the gap; one that they repeat is run the
 * first time only. All other lines follow the time that passes: they have nothing in the gap, and run in both of the
 * repeated hours.
 */
#ifndef CRON_H
#define CRON_H

#include <prong/types.h>

struct zone;

/* A line that was read. Sets are bits: bit n for the value n. */
struct cron {
	uint64_t seconds, minutes;
	uint32_t hours, days, months, weekdays; /* weekdays: 0 … 6 */
	bool either_day;			/* day of month and day of week are both restricted */
	bool fixed;				/* names a time of day */
};

/*
 * 0; or -EINVAL with `ret_reason` (malloc'ed): a sentence that names the field and says what is right. Refuses what can
 * never happen, such as 30 February.
 */
int cron_parse(const char *line, struct cron *ret_cron, char **ret_reason);

/* The first time after `after`, a whole second; INT64_MAX µs where the zone leaves none within 400 years. */
prong_time cron_next(const struct cron *cron, const struct zone *zone, prong_time after);

#endif
