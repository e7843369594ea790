/*
 * Peppers: secrets of the server around password hashes, so that a stolen database alone gives nothing to guess
 * against. A hash is sealed (XChaCha20-Poly1305) under a version's key and bound to its account: in another account's
 * row it does not open. As text: "$pepper$v=VERSION$" and base64 of nonce and sealed text.
 */
#ifndef PEPPER_H
#define PEPPER_H

#include <prong/types.h>

#include "common/security/phc.h"

#define PEPPER_SEALED_SIZE 256 /* bytes of the longest sealed hash, with its NUL */

struct peppers;

/* The setting's form: VERSION:KEY, commas between. 0, or -EINVAL and the reason, which the caller frees. */
int peppers_check(const char *text, char **ret_reason);

/* `text` as peppers_check() accepts it; NULL: none. Keeps keys made of it, in locked memory. */
struct peppers *peppers_new(const char *text);
struct peppers *peppers_free(struct peppers *peppers); /* wipes them; returns NULL */

/* Under the highest version; without peppers the text as it is. */
void pepper_seal(const struct peppers *peppers, prong_uuid account_id, const char *phc,
		 char ret_text[PEPPER_SEALED_SIZE]);

/*
 * The hash within; a text that is not sealed is taken as it is. `ret_current`: sealed under the highest version, or not
 * sealed where there is none. -EINVAL: not well-formed, its version is unknown, or it does not open; `ret_reason` says
 * which, in `reason`.
 */
int pepper_open(const struct peppers *peppers, prong_uuid account_id, const char *text, char ret_phc[PHC_SIZE],
		bool *ret_current, char **ret_reason);

#endif
