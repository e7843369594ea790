/* The further claims of access tokens: those that are an application's, or another issuer's, and not the library's. */
#ifndef CLAIMS_H
#define CLAIMS_H

#include "common/arena.h"
#include "common/buffer.h"

#define CLAIMS_MAX_SIZE 2048 /* bytes of an application's, as JSON */

/*
 * Adds the members of a JSON object to one that is being written, each with ',' before it. 0; or -EINVAL with a
 * sentence for the log in `ret_reason`, from the arena, and nothing added: it is no JSON object, longer than
 * CLAIMS_MAX_SIZE, or has one of the library's names: iss aud sub sid jti iat exp nbf scope epoch auth_time.
 */
int claims_add(struct buffer *out, const char *claims, struct arena *arena, const char **ret_reason);

/* The members of a token's JSON that are not the library's, as an object from the arena; NULL: none. `json` was parsed.
 */
const char *claims_further(const char *json, struct arena *arena);

#endif
