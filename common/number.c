#include "common/number.h"

#include <math.h>
#include <stdio.h>

#include "common/basics.h"

char *integer_format(int64_t value, char room[NUMBER_TEXT_SIZE])
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char *place = room + NUMBER_TEXT_SIZE - 1;

	*place = '\0';
	do {
		*--place = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--place = '-';
	return place;
}

int double_format(double value, char room[NUMBER_TEXT_SIZE])
{
	int length = 0;

	check(isfinite(value));
	for (int precision = 15; precision <= 17; precision++) {
		length = snprintf(room, NUMBER_TEXT_SIZE, "%.*g", precision, value);
		if (strtod(room, NULL) == value)
			break;
	}
	return length;
}
