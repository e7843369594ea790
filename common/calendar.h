/* Dates of the proleptic Gregorian calendar as days since 1970-01-01. Months and days count from 1. */
#ifndef CALENDAR_H
#define CALENDAR_H

#include <stdint.h>

int64_t calendar_days(int64_t year, int64_t month, int64_t day);
void calendar_date(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day);
int64_t calendar_month_length(int64_t year, int64_t month);

#endif
