/* PHC strings: an Argon2id hash with its parameters as text, "$argon2id$v=19$m=19456,t=2,p=1$SALT$OUTPUT". */
#ifndef PHC_H
#define PHC_H

#include <stddef.h>

#define PHC_SIZE 128 /* bytes of the longest, with its NUL */

/* What a hash may ask of whoever verifies it: Argon2 would do whatever the string says. */
#define PHC_MAX_MEMORY_KIB (1024 * 1024)
#define PHC_MAX_PASSES 10

struct phc {
	size_t memory_kib, passes;
};

/* 0; -EINVAL: libsodium could not verify it, or it is beyond the bounds; `ret_reason` (a constant) names what is wrong.
 */
int phc_parse(const char *text, struct phc *ret_phc, const char **ret_reason);

#endif
