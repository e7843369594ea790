/* Drives http_find_head() and http_parse_head() as a connection does, for the tests of the parser and its framing. */
#ifndef TEST_HEADS_H
#define TEST_HEADS_H

#include "server/http/parser.h"
#include "tests/unit/test.h"

#include <stdio.h>

/* A request with its size, so that it may hold NUL. */
#define BYTES(literal) (literal), sizeof(literal) - 1

struct verdict {
	int status; /* 0: accepted; -1: more is needed */
	bool close;
	int64_t size; /* of an accepted head */
	size_t skip;
};

/* What came of it, and the head where accepted. `data` is copied to exactly fitting memory at every step. */
struct parsed {
	struct verdict verdict;
	char *data;
	struct http_head head;
	const char *detail;
};

/* Feeds the prefix of `first` bytes, then as many more at a time as `step` says. The caller frees `data` of the result.
 */
void heads_feed(const char *data, size_t size, size_t first, size_t step, struct parsed *ret_parsed);

/* Feeds it whole, split in two at every byte, and byte by byte: CUnit fails where these differ. Returns the first. */
struct verdict heads_verdict(const char *data, size_t size);

/* As above, comparing with what is expected; `name` is printed on a difference. */
void heads_expect(const char *name, const char *data, size_t size, int status, bool close);

#endif
