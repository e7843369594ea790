#include "common/basics.h"
#include "common/schema/schema.h"
#include "tests/unit/test.h"

struct card {
	const char *number;
	const char *holder;
};

struct order {
	const char *name;
	const char *password;
	int32_t count;
	prong_json extra;
	prong_json hidden;
	struct card *card;
	PRONG_ARRAY(struct card) cards;
	PRONG_ARRAY(const char *) tags;
	PRONG_ARRAY(const char *) codes;
};

/* clang-format off */
PRONG_SCHEMA(card,
	PRONG_FIELD(card, number, .secret = true),
	PRONG_FIELD(card, holder));

PRONG_SCHEMA(order,
	PRONG_FIELD(order, name, .required = true, .max_length = 5),
	PRONG_FIELD(order, password, .secret = true),
	PRONG_FIELD(order, count),
	PRONG_FIELD(order, extra),
	PRONG_FIELD(order, hidden, .secret = true),
	PRONG_FIELD_OBJECT(order, card, card),
	PRONG_FIELD_OBJECTS(order, cards, card),
	PRONG_FIELD_ARRAY(order, tags),
	PRONG_FIELD_ARRAY(order, codes, .secret = true));
/* clang-format on */

static void assert_shown(const struct prong_schema *schema, const char *text, const char *expected)
{
	struct buffer out = { 0 };
	struct arena arena;

	arena_init(&arena);
	schema_redact_json(schema, text, strlen(text), &arena, &out);
	CU_ASSERT_STRING_EQUAL(buffer_text(&out), expected);
	buffer_free(&out);
	arena_reset(&arena);
}

#define S "\"(secret)\""

TEST(schema_redact, hides_what_is_secret)
{
	assert_shown(&order_schema,
		     "{\"name\":\"n\",\"password\":\"p\",\"count\":-7,\"extra\":{\"a\":[1.0,null]},\"hidden\":[1],"
		     "\"card\":{\"number\":\"42\",\"holder\":\"h\"},\"cards\":[{\"number\":\"43\"},{\"holder\":\"i\"}],"
		     "\"tags\":[\"a\",\"b\"],\"codes\":[\"c\"]}",
		     "{\"name\":\"n\",\"password\":" S ",\"count\":-7,\"extra\":{\"a\":[1.0,null]},\"hidden\":" S ","
		     "\"card\":{\"number\":" S ",\"holder\":\"h\"},\"cards\":[{\"number\":" S "},{\"holder\":\"i\"}],"
		     "\"tags\":[\"a\",\"b\"],\"codes\":" S "}");
	assert_shown(&order_schema, "{}", "{}");
	assert_shown(&order_schema, "{\"cards\":[],\"tags\":[ ]}", "{\"cards\":[],\"tags\":[]}");
	assert_shown(&order_schema, "{\"password\":null,\"name\":null,\"card\":null,\"tags\":null}",
		     "{\"password\":" S ",\"name\":null,\"card\":null,\"tags\":null}");
}

TEST(schema_redact, knows_a_name_however_it_is_written)
{
	assert_shown(&order_schema, " { \"p\\u0061ssword\" : \"p\" , \"n\\u0061me\" : \"n\" } ",
		     "{\"p\\u0061ssword\":" S ",\"n\\u0061me\":\"n\"}");
}

TEST(schema_redact, hides_what_it_does_not_know)
{
	assert_shown(&order_schema, "{\"old_password\":\"p\",\"name\":\"n\",\"\":1}",
		     "{\"old_password\":" S ",\"name\":\"n\",\"\":" S "}");
	assert_shown(&order_schema, "{\"card\":\"42\",\"cards\":{\"number\":\"42\"},\"tags\":\"x\",\"name\":[\"x\"]}",
		     "{\"card\":" S ",\"cards\":" S ",\"tags\":" S ",\"name\":" S "}");
	assert_shown(&order_schema, "{\"cards\":[[1],\"42\",null],\"tags\":[{\"a\":1},\"x\"]}",
		     "{\"cards\":[" S "," S ",null],\"tags\":[" S ",\"x\"]}");
	assert_shown(NULL, "{\"name\":\"n\"}", S);
	assert_shown(&order_schema, "\"text\"", S);
	assert_shown(&order_schema, "[{\"password\":\"p\"}]", S);
	assert_shown(&order_schema, "{\"password\":\"p\"", S);
	assert_shown(&order_schema, "", S);
}

TEST(schema_redact, shows_what_does_not_fit)
{
	assert_shown(&order_schema, "{\"name\":\"much too long\",\"count\":\"seven\"}",
		     "{\"name\":\"much too long\",\"count\":\"seven\"}");
	assert_shown(&order_schema, "{\"name\":false,\"count\":1e99}", "{\"name\":false,\"count\":1e99}");
}
