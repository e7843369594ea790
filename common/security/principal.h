/*
 * Whom a request comes from: what its access token or API key says, once it has been verified. Plain values; texts
 * are in the context's arena.
 */
#ifndef PRINCIPAL_H
#define PRINCIPAL_H

#include <prong/types.h>

struct principal {
	prong_uuid account_id;	  /* of another issuer's token: made of its iss and sub, always the same */
	prong_uuid session_id;	  /* all zero: not of a session of ours */
	prong_uuid api_key_id;	  /* all zero: no API key */
	int32_t epoch;		  /* of the account when the token was made or the key looked up; other issuers: 0 */
	const char *scope;	  /* names with a space between; "": none */
	const char *issuer;	  /* another one's; NULL: ours */
	const char *subject;	  /* of another issuer; NULL: ours */
	const char *claims;	  /* the token's further claims, a JSON object; NULL: none */
	int64_t authenticated_at; /* seconds since the epoch, when the password was proven; 0: not known */
	int64_t expires_at;	  /* likewise, of the token; INT64_MAX: a key without an end */
};

#endif
