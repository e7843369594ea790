/* Numbers as text, in the same way wherever one leaves the process: JSON, SQL parameters, log lines. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

#define NUMBER_TEXT_SIZE 32

/* The text, NUL-terminated; it stands at the end of `room`, so that its length is known without counting. */
char *integer_format(int64_t value, char room[NUMBER_TEXT_SIZE]);

/* The shortest text that reads back equal, at the beginning of `room`; returns its length. `value` is finite. */
int double_format(double value, char room[NUMBER_TEXT_SIZE]);

#endif
