#include "tests/unit/server/heads.h"

void heads_feed(const char *data, size_t size, size_t first, size_t step, struct parsed *ret_parsed)
{
	struct parsed *parsed = ret_parsed;
	struct http_refusal refusal = { 0 };
	size_t scanned = 0, fed = first < size ? first : size;
	int64_t found;

	*parsed = (struct parsed){ .verdict.status = -1 };
	for (;;) {
		free(parsed->data);
		parsed->data = malloc(fed ? fed : 1);
		memcpy(parsed->data, data, fed);
		found = http_find_head(parsed->data, fed, &scanned, &parsed->verdict.skip, &refusal);
		if (found != 0 || fed == size)
			break;
		fed = step < size - fed ? fed + step : size;
	}
	if (found == 0)
		return;
	if (found > 0) {
		parsed->verdict.size = found;
		parsed->verdict.status = 0;
		if (http_parse_head(parsed->data + parsed->verdict.skip, (size_t)found, &parsed->head, &refusal) == 0)
			return;
	}
	parsed->verdict.status = refusal.status;
	parsed->verdict.close = refusal.close;
	parsed->verdict.size = 0;
	parsed->detail = refusal.detail;
}

static bool verdict_equal(const struct parsed *a, const struct parsed *b)
{
	return a->verdict.status == b->verdict.status && a->verdict.close == b->verdict.close &&
	       a->verdict.size == b->verdict.size && a->detail == b->detail;
}

struct verdict heads_verdict(const char *data, size_t size)
{
	static struct parsed whole, split;

	heads_feed(data, size, size, 1, &whole);
	free(whole.data);
	for (size_t first = 0; first < size; first++) {
		heads_feed(data, size, first, size, &split);
		free(split.data);
		CU_ASSERT(verdict_equal(&whole, &split));
	}
	heads_feed(data, size, 0, 1, &split);
	free(split.data);
	CU_ASSERT(verdict_equal(&whole, &split));
	return whole.verdict;
}

void heads_expect(const char *name, const char *data, size_t size, int status, bool close)
{
	struct verdict verdict = heads_verdict(data, size);

	if (verdict.status != status || verdict.close != close)
		printf("\n    %s: %d %s, not %d %s\n", name, verdict.status, verdict.close ? "close" : "open", status,
		       close ? "close" : "open");
	CU_ASSERT_EQUAL(verdict.status, status);
	CU_ASSERT_EQUAL(verdict.close, close);
}
