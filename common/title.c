#include "common/title.h"

#include <string.h>
#include <sys/prctl.h>

static char *area;
static size_t area_size;

void title_init(int argc, char *argv[])
{
	area = argc > 0 ? argv[0] : NULL;
	area_size = 0;
	/* The kernel lays them one behind the other; a caller who made its own array may not. */
	for (int i = 0; i < argc && argv[i] == area + area_size; i++)
		area_size += strlen(argv[i]) + 1;
}

void title_set(const char *title)
{
	size_t size = strlen(title);

	prctl(PR_SET_NAME, title);
	if (area_size < 2)
		return;
	if (size > area_size - 1)
		size = area_size - 1;
	memcpy(area, title, size);
	memset(area + size, 0, area_size - size);
}
