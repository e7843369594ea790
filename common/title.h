/* What `ps` shows of a process: written over its arguments, as far as there is room, and its short name. */
#ifndef TITLE_H
#define TITLE_H

/* Notes where the arguments are. They must not be read any more in a process that calls title_set(). */
void title_init(int argc, char *argv[]);

void title_set(const char *title);

#endif
