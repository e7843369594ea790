#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/common/every_kind.h"
#include "tests/unit/test.h"

struct sample {
	int32_t number;
	double real;
	const char *text;
	bool flag;
	unsigned colour;
	prong_uuid id;
	prong_opt_int32 optional;
	prong_json raw;
	PRONG_ARRAY(const char *) texts;
	PRONG_ARRAY(prong_opt_int32) optionals;
};

/* Compiles, because a schema may name itself; is refused at start. */
struct node {
	const char *text;
	struct node *inner;
};
PRONG_SCHEMA(node, PRONG_FIELD(node, text), PRONG_FIELD_OBJECT(node, inner, node));

static void assert_mistake(const struct prong_schema *schema, const char *expected)
{
	const char *mistake = NULL;
	struct arena arena;

	arena_init(&arena);
	CU_ASSERT_EQUAL(schema_check(schema, &arena, &mistake), expected ? -EINVAL : 0);
	if (expected && mistake) {
		CU_ASSERT_STRING_EQUAL(mistake, expected);
	} else {
		CU_ASSERT_PTR_EQUAL(mistake, NULL);
	}
	arena_reset(&arena);
}

static void assert_field_mistake(struct prong_field field, const char *expected)
{
	const struct prong_schema schema = {
		.name = "sample", .size = sizeof(struct sample), .fields = &field, .n_fields = 1
	};
	_cleanup_(freep) char *sentence = NULL;

	if (expected)
		sentence = format_text("Schema sample, field %s: %s.", field.name, expected);
	assert_mistake(&schema, sentence);
}

#define ASSERT_FIELD(expected, member, ...) \
	assert_field_mistake((struct prong_field)PRONG_FIELD(sample, member, ##__VA_ARGS__), expected)
#define ASSERT_ARRAY(expected, member, ...) \
	assert_field_mistake((struct prong_field)PRONG_FIELD_ARRAY(sample, member, ##__VA_ARGS__), expected)

TEST(schema_check, good_schemas_pass)
{
	assert_mistake(&every_kind_schema, NULL);
	ASSERT_FIELD(NULL, number, .required = true, .range = PRONG_RANGE(1, 1));
	ASSERT_FIELD(NULL, real, .range = PRONG_RANGE(-DBL_MAX, 0.5));
	ASSERT_FIELD(NULL, text, .nullable = true, .min_length = 3, .max_length = 3, .format = PRONG_EMAIL);
	ASSERT_FIELD(NULL, text, .min_length = 3);
	ASSERT_FIELD(NULL, optional, .nullable = true, .range = PRONG_RANGE(0, INT64_MAX));
	ASSERT_FIELD(NULL, id, .read_only = true, .required = true);
	ASSERT_ARRAY(NULL, texts, .min_items = 2, .max_items = 2, .max_length = 5, .format = PRONG_URI,
		     .nullable = true);
}

TEST(schema_check, flags)
{
	static const char optional[] = "to be .nullable its member must be a prong_opt_…";

	ASSERT_FIELD(optional, number, .nullable = true);
	ASSERT_FIELD(optional, real, .nullable = true);
	ASSERT_FIELD(optional, flag, .nullable = true);
	ASSERT_FIELD(optional, id, .nullable = true);
	ASSERT_FIELD("an enum cannot be .nullable; use a string with .values", colour, .values = PRONG_VALUES("red"),
		     .nullable = true);
	ASSERT_FIELD("it cannot be both .read_only and .write_only", text, .read_only = true, .write_only = true);
	ASSERT_ARRAY("the items of an array cannot be optional", optionals);
}

TEST(schema_check, values)
{
	ASSERT_FIELD("an enum (or unsigned int) needs .values", colour);
	ASSERT_FIELD(".values is empty", colour, .values = (const char *const[]){ NULL });
	ASSERT_FIELD("two of .values are alike", colour, .values = PRONG_VALUES("red", "green", "red"));
	ASSERT_FIELD(".values are only for enums and strings", flag, .values = PRONG_VALUES("yes", "no"));
	ASSERT_FIELD(".values are only for enums and strings", number, .values = PRONG_VALUES("1"));
}

TEST(schema_check, rules)
{
	ASSERT_FIELD(".min_length and .max_length are only for strings", number, .max_length = 5);
	ASSERT_FIELD(".min_length and .max_length are only for strings", raw, .min_length = 5);
	ASSERT_FIELD(".min_length is greater than .max_length", text, .min_length = 6, .max_length = 5);
	ASSERT_FIELD(".min_items and .max_items are only for arrays", text, .max_items = 5);
	ASSERT_ARRAY(".min_items is greater than .max_items", texts, .min_items = 6, .max_items = 5);
	ASSERT_FIELD(".range is only for numbers", text, .range = PRONG_RANGE(1, 5));
	ASSERT_FIELD(".range has its low bound above its high one", number, .range = PRONG_RANGE(2, 1));
	ASSERT_FIELD(".range has its low bound above its high one", real, .range = PRONG_RANGE(0.6, 0.5));
	ASSERT_FIELD(".format is only for strings", id, .format = PRONG_UUID);
	ASSERT_FIELD(".format is none of enum prong_format", text, .format = (enum prong_format)99);
}

TEST(schema_check, fields_written_by_hand)
{
	struct prong_field field = PRONG_FIELD(sample, text);

	field.offset = sizeof(struct sample) - 4;
	assert_field_mistake(field, "it is not within its struct");
	field.offset = SIZE_MAX;
	assert_field_mistake(field, "it is not within its struct");
	field.offset = 0;
	field.kind = 99;
	assert_field_mistake(field, "its kind does not exist");
	field.kind = PRONG_KIND_STRING | PRONG_KIND_OPTIONAL;
	assert_field_mistake(field, "its kind does not exist");
	field.kind = PRONG_KIND_OBJECT;
	assert_field_mistake(field, "a nested record needs .schema");
	field.kind = PRONG_KIND_STRING;
	field.schema = &part_schema;
	assert_field_mistake(field, ".schema is only for nested records");
	field.schema = NULL;
	field.name = "a\"b";
	assert_field_mistake(field, "its name is not an identifier");
	field.name = "";
	assert_field_mistake(field, "its name is not an identifier");
	field.name = "1st";
	assert_field_mistake(field, "its name is not an identifier");
}

TEST(schema_check, schemas)
{
	const struct prong_field twice[] = { PRONG_FIELD(sample, text), PRONG_FIELD(sample, number),
					     PRONG_FIELD(sample, text) };
	static const struct prong_field nameless[] = { { 0 } };
	struct prong_schema schema = { .name = "sample", .size = sizeof(struct sample), .fields = twice };
	struct prong_field *many;

	assert_mistake(&schema, "Schema sample: it has no fields.");
	schema.n_fields = 3;
	assert_mistake(&schema, "Schema sample, field text: another field has the same name.");
	schema.fields = nameless;
	schema.n_fields = 1;
	assert_mistake(&schema, "Schema sample: a field has no name.");
	schema.name = NULL;
	assert_mistake(&schema, "Schema (unnamed): its name is not an identifier.");

	many = allocate_array(SCHEMA_MAX_FIELDS + 1, sizeof(*many));
	for (size_t i = 0; i <= SCHEMA_MAX_FIELDS; i++) {
		many[i] = twice[0];
		many[i].name = format_text("field_%zu", i);
	}
	schema = (struct prong_schema){ .name = "many", .size = sizeof(struct sample), .fields = many };
	schema.n_fields = SCHEMA_MAX_FIELDS;
	assert_mistake(&schema, NULL);
	schema.n_fields++;
	assert_mistake(&schema, "Schema many: it has more than 256 fields.");
	for (size_t i = 0; i <= SCHEMA_MAX_FIELDS; i++)
		free((char *)many[i].name);
	free(many);
}

TEST(schema_check, nesting)
{
	struct prong_schema chain[SCHEMA_MAX_NESTING + 2];
	struct prong_field links[SCHEMA_MAX_NESTING + 2];
	const size_t last = ARRAY_SIZE(chain) - 1;

	assert_mistake(&node_schema,
		       "Schema node, field inner: a record cannot be nested in itself; use a prong_json.");

	for (size_t i = 0; i <= last; i++) {
		links[i] = node_schema.fields[1];
		links[i].schema = i < last ? &chain[i + 1] : NULL;
		chain[i] = node_schema;
		chain[i].fields = &links[i];
		chain[i].n_fields = 1;
	}
	links[last] = (struct prong_field)PRONG_FIELD(node, text);
	assert_mistake(&chain[0], "Schema node, field inner: records are nested more than 16 deep.");
	assert_mistake(&chain[1], NULL);

	links[last].nullable = true;
	links[last].required = true;
	links[last].max_items = 1;
	assert_mistake(&chain[5], "Schema node, field text: .min_items and .max_items are only for arrays.");
}

TEST(schema_check, ranges_of_any_number)
{
	const struct prong_range whole = PRONG_RANGE(INT64_MIN, INT64_MAX);
	const struct prong_range real = PRONG_RANGE(-DBL_MAX, DBL_MAX);
	const struct prong_range exact = PRONG_RANGE(INT64_C(9007199254740993), 9223372036854775806);

	CU_ASSERT(whole.set && whole.low == INT64_MIN && whole.high == INT64_MAX);
	CU_ASSERT(real.low == INT64_MIN && real.high == INT64_MAX && real.low_double == -DBL_MAX &&
		  real.high_double == DBL_MAX);
	CU_ASSERT(exact.low == INT64_C(9007199254740993) && exact.high == INT64_MAX - 1);
}
