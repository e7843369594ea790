/* bind(write(x)) is x, for random records of every kind. Seeded, so that a failure can be repeated. */
#include <math.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"
#include "tests/unit/test.h"

#define ROUNDS 3000

static uint64_t state;
static struct arena arena;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static size_t below(size_t limit)
{
	return next() % limit;
}

static int64_t some_integer(void)
{
	return (int64_t)next() >> below(64);
}

static double some_double(double low, double high)
{
	for (;;) {
		uint64_t bits = next();
		double value;

		memcpy(&value, &bits, sizeof(value));
		if (below(4) == 0)
			value = (double)some_integer() / 1000;
		if (isfinite(value) && value >= low && value <= high)
			return value;
	}
}

static const char *some_text(size_t min, size_t max)
{
	static const char *const characters[] = { "a",
						  "Z",
						  " ",
						  "\"",
						  "\\",
						  "/",
						  "\n",
						  "\x01",
						  "\x1f",
						  "\x7f",
						  "<",
						  "\xC3\xA4",
						  "\xE2\x82\xAC",
						  "\xEF\xBF\xBF",
						  "\xF0\x9F\x98\x80",
						  "\xED\x9F\xBF" };
	size_t length = min + below(max - min + 1);
	char *text = arena_alloc(&arena, length * 4 + 1);

	for (size_t i = 0; i < length; i++)
		strcat(text, characters[below(ARRAY_SIZE(characters))]);
	return text;
}

static prong_uuid some_uuid(void)
{
	prong_uuid uuid;

	for (size_t i = 0; i < sizeof(uuid.bytes); i++)
		uuid.bytes[i] = (unsigned char)next();
	return uuid;
}

static prong_time some_time(void)
{
	const uint64_t span = (uint64_t)(PRONG_TIME_MAX - PRONG_TIME_MIN) + 1;
	int64_t us = PRONG_TIME_MIN + (int64_t)(next() % span);

	return (prong_time){ below(2) ? us : us / 1000000 * 1000000 };
}

static prong_json some_raw(void)
{
	static const char *const texts[] = { "{}",
					     "[]",
					     "true",
					     "\"null\"",
					     "12345678901234567890123",
					     "-0.10",
					     "{\"a\":[1,{\"b\":\"\\u00e4 \\\"\"}]}" };

	return (prong_json){ texts[below(ARRAY_SIZE(texts))] };
}

/* Items, or an empty array, or none. */
#define FILL_ARRAY(array, min, max, value)                                                           \
	do {                                                                                         \
		if (below(4) == 0)                                                                   \
			break;                                                                       \
		(array).count = (min) + below((max) - (min) + 1);                                    \
		(array).items = arena_alloc(&arena, ((array).count + 1) * sizeof((array).items[0])); \
		for (size_t i_ = 0; i_ < (array).count; i_++)                                        \
			(array).items[i_] = (value);                                                 \
	} while (0)

#define FILL_OPTIONAL(member, random)              \
	do {                                       \
		(member).set = below(2);           \
		if ((member).set)                  \
			(member).value = (random); \
	} while (0)

static struct part some_part(void)
{
	struct part part = { .label = some_text(0, 20) };

	FILL_OPTIONAL(part.weight, some_double(0, DBL_MAX));
	FILL_ARRAY(part.sizes, 0, 10, (int32_t)below(11) - 5);
	return part;
}

static struct every_kind *some_record(void)
{
	static const char *const links[] = { "https://example.com/?a=%20#b", "urn:x:y", NULL };
	static const char *const states[] = { "draft", "published", NULL };
	struct every_kind *record = arena_alloc(&arena, sizeof(*record));

	record->flag = below(2);
	record->small = (int32_t)below(201) - 100;
	record->big = some_integer();
	record->real = some_double(-1e300, 1e300);
	record->text = some_text(1, 40);
	record->uuid = some_uuid();
	record->time = some_time();
	record->colour = (enum colour)below(3);
	if (below(2))
		record->raw = some_raw();
	FILL_OPTIONAL(record->opt_flag, below(2));
	FILL_OPTIONAL(record->opt_small, (int32_t)some_integer());
	FILL_OPTIONAL(record->opt_big, some_integer());
	FILL_OPTIONAL(record->opt_real, some_double(-DBL_MAX, DBL_MAX));
	FILL_OPTIONAL(record->opt_uuid, some_uuid());
	FILL_OPTIONAL(record->opt_time, some_time());
	record->email = below(2) ? (char *)"ada@example.com" : NULL;
	record->link = links[below(3)];
	record->state = states[below(3)];
	if (below(2)) {
		record->part = arena_alloc(&arena, sizeof(*record->part));
		*record->part = some_part();
	}
	FILL_ARRAY(record->parts, 0, 5, some_part());
	FILL_ARRAY(record->flags, 0, 20, below(2));
	FILL_ARRAY(record->bigs, 2, 20, some_integer());
	FILL_ARRAY(record->reals, 0, 5, some_double(-DBL_MAX, DBL_MAX));
	FILL_ARRAY(record->texts, 0, 4, some_text(0, 8));
	FILL_ARRAY(record->uuids, 0, 5, some_uuid());
	FILL_ARRAY(record->times, 0, 5, some_time());
	FILL_ARRAY(record->colours, 0, 5, (enum colour)below(3));
	FILL_ARRAY(record->raws, 0, 3, some_raw());
	return record;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? string_equal(a, b) : a == b;
}

#define SAME_BYTES(a, b) (memcmp(&(a), &(b), sizeof(a)) == 0)
#define SAME_OPTIONAL(a, b) ((a).set == (b).set && (!(a).set || SAME_BYTES((a).value, (b).value)))
#define SAME_PRESENCE(a, b) ((a).count == (b).count && !(a).items == !(b).items)
#define SAME_PLAIN(a, b) \
	(SAME_PRESENCE(a, b) && ((a).count == 0 || memcmp((a).items, (b).items, (a).count * sizeof((a).items[0])) == 0))

/* A required array that was absent comes back empty. */
static bool same_part(const struct part *a, const struct part *b)
{
	return same_text(a->label, b->label) && SAME_OPTIONAL(a->weight, b->weight) &&
	       a->sizes.count == b->sizes.count &&
	       (a->sizes.count == 0 ||
		memcmp(a->sizes.items, b->sizes.items, a->sizes.count * sizeof(a->sizes.items[0])) == 0);
}

static bool same_lists(const struct every_kind *a, const struct every_kind *b)
{
	if (!SAME_PRESENCE(a->parts, b->parts) || !SAME_PRESENCE(a->texts, b->texts) ||
	    !SAME_PRESENCE(a->raws, b->raws))
		return false;
	for (size_t i = 0; i < a->parts.count; i++)
		if (!same_part(&a->parts.items[i], &b->parts.items[i]))
			return false;
	for (size_t i = 0; i < a->texts.count; i++)
		if (!same_text(a->texts.items[i], b->texts.items[i]))
			return false;
	for (size_t i = 0; i < a->raws.count; i++)
		if (!same_text(a->raws.items[i].text, b->raws.items[i].text))
			return false;
	return SAME_PLAIN(a->flags, b->flags) && SAME_PLAIN(a->bigs, b->bigs) && SAME_PLAIN(a->reals, b->reals) &&
	       SAME_PLAIN(a->uuids, b->uuids) && SAME_PLAIN(a->times, b->times) && SAME_PLAIN(a->colours, b->colours);
}

static bool same_record(const struct every_kind *a, const struct every_kind *b)
{
	return a->flag == b->flag && a->small == b->small && a->big == b->big && SAME_BYTES(a->real, b->real) &&
	       same_text(a->text, b->text) && SAME_BYTES(a->uuid, b->uuid) && a->time.us == b->time.us &&
	       a->colour == b->colour && same_text(a->raw.text, b->raw.text) &&
	       SAME_OPTIONAL(a->opt_flag, b->opt_flag) && SAME_OPTIONAL(a->opt_small, b->opt_small) &&
	       SAME_OPTIONAL(a->opt_big, b->opt_big) && SAME_OPTIONAL(a->opt_real, b->opt_real) &&
	       SAME_OPTIONAL(a->opt_uuid, b->opt_uuid) && SAME_OPTIONAL(a->opt_time, b->opt_time) &&
	       same_text(a->email, b->email) && same_text(a->link, b->link) && same_text(a->state, b->state) &&
	       !a->part == !b->part && (!a->part || same_part(a->part, b->part)) && same_lists(a, b);
}

static bool round_trip(void)
{
	const struct every_kind *record = some_record();
	struct every_kind *again = NULL;
	struct schema_errors errors;
	struct buffer text = { 0 };
	const char *detail = NULL;
	bool good;
	int r;

	if (schema_validate(&every_kind_schema, record, &arena, &errors) < 0) {
		fprintf(stderr, "not valid: %s %s\n", errors.items[0].pointer, errors.items[0].detail);
		return false;
	}
	schema_write_json(&every_kind_schema, SCHEMA_PAYLOAD, record, &text);
	r = schema_bind_json(&every_kind_schema, SCHEMA_PAYLOAD, text.data, text.size, &arena, (void **)&again, &detail,
			     &errors);
	good = r == 0 && same_record(record, again);
	if (!good)
		fprintf(stderr, "%s\n%d %s\n", buffer_text(&text), r,
			r == -EBADMSG ? detail
			: r < 0	      ? errors.items[0].detail
				      : "differs");
	buffer_free(&text);
	return good;
}

TEST(schema_round_trip, random_records)
{
	size_t wrong = 0;

	for (uint64_t seed = 1; seed <= ROUNDS && !wrong; seed++) {
		state = seed;
		arena_init(&arena);
		if (!round_trip()) {
			fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
			wrong++;
		}
		arena_reset(&arena);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}
