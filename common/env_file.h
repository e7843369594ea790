/*
 * Files of KEY=VALUE lines, as `.env`: `export` before the key, '#' comments, 'literal' and "quoted" values are
 * understood, in the latter \n \t \" \\ \$; nothing is expanded. A quoted value stands on one line.
 */
#ifndef ENV_FILE_H
#define ENV_FILE_H

#include "common/basics.h"
#include "common/buffer.h"

struct env_file {
	size_t count;
	struct env_entry {
		char *name, *value;
	} * items;
};

/*
 * Reads a file. 0, also where there is none; -EINVAL with one line per mistake, "PATH:LINE: …", never a value. Of a
 * name given twice the last one counts, as in a shell.
 */
int env_file_read(const char *path, struct env_file *ret_file, struct buffer *mistakes);
void env_file_free(struct env_file *file); /* leaves it empty */

const char *env_file_get(const struct env_file *file, const char *name); /* NULL: not there */

#endif
