#include "common/basics.h"
#include "common/trace.h"
#include "tests/unit/test.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static int read_parent(const char *text, char id[TRACE_ID_SIZE])
{
	return trace_parent_read(text, strlen(text), id);
}

TEST(trace, reads_what_the_specification_shows)
{
	char id[TRACE_ID_SIZE] = "";

	CU_ASSERT_EQUAL(read_parent("00-" ID "-" PARENT "-01", id), 0);
	CU_ASSERT_STRING_EQUAL(id, ID);
	CU_ASSERT_EQUAL(read_parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", id), 0);
	CU_ASSERT_STRING_EQUAL(id, "0af7651916cd43dd8448eb211c80319c");
	CU_ASSERT_EQUAL(read_parent("00-00000000000000000000000000000001-0000000000000001-ff", id), 0);
}

TEST(trace, refuses_everything_else)
{
	static const char *const wrong[] = {
		"",
		"00",
		"01-" ID "-" PARENT "-01",
		"ff-" ID "-" PARENT "-01",
		"0x-" ID "-" PARENT "-01",
		"00_" ID "-" PARENT "-01",
		"00-" ID "_" PARENT "-01",
		"00-" ID "-" PARENT "_01",
		"00-" ID "-" PARENT "-0",
		"00-" ID "-" PARENT "-011",
		"00-" ID "-" PARENT "-01-",
		"00-" ID "-" PARENT "-01-more",
		"00-" ID "-" PARENT "-0G",
		"00-" ID "-" PARENT "-0A",
		" 00-" ID "-" PARENT "-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473-0" PARENT "-01",
		"00-" ID "-00F067AA0BA902B7-01",
		"00-" ID "-0000000000000000-01",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" ID "-" PARENT "-\xff\xff",
	};
	char id[TRACE_ID_SIZE] = "kept";

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CU_ASSERT_EQUAL(read_parent(wrong[i], id), -EINVAL);
	CU_ASSERT_EQUAL(trace_parent_read(NULL, 0, id), -EINVAL);
	CU_ASSERT_STRING_EQUAL(id, "kept");
}

TEST(trace, knows_an_id)
{
	CU_ASSERT(trace_id_is_valid(ID, 32));
	CU_ASSERT(!trace_id_is_valid(ID, 31));
	CU_ASSERT(!trace_id_is_valid(ID "0", 33));
	CU_ASSERT(!trace_id_is_valid("00000000000000000000000000000000", 32));
	CU_ASSERT(!trace_id_is_valid("4BF92F3577B34DA6A3CE929D0E0E4736", 32));
}

TEST(trace, makes_ids_of_its_own)
{
	char first[TRACE_ID_SIZE], second[TRACE_ID_SIZE];

	trace_id_make(first);
	trace_id_make(second);
	CU_ASSERT(trace_id_is_valid(first, strlen(first)));
	CU_ASSERT(trace_id_is_valid(second, strlen(second)));
	CU_ASSERT_STRING_NOT_EQUAL(first, second);
}
