/* What the accounts module cleans up, every hour. */
#ifndef HOUSEKEEPING_H
#define HOUSEKEEPING_H

#include <prong/prong.h>

extern const struct prong_job accounts_housekeeping_job;
extern const struct prong_schedule accounts_housekeeping_schedule;

#endif
