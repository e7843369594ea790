/*
 * Refresh tokens as bytes and text: the session's id, the token's number in it, 32 random bytes, and a MAC under a key
 * derived from PRONG_SECRET, in base64url. Pure functions.
 */
#ifndef REFRESH_TOKEN_H
#define REFRESH_TOKEN_H

#include "common/basics.h"

#define REFRESH_TOKEN_SIZE 92 /* as text, with its NUL */
#define REFRESH_SALT_SIZE 16
#define REFRESH_SALT_HEX_SIZE 33
#define REFRESH_HASH_HEX_SIZE 65

struct refresh_token {
	prong_uuid session_id;
	uint32_t number; /* from 0 */
	unsigned char random[32];
};

/* A session's first. */
void refresh_token_make(prong_uuid session_id, struct refresh_token *ret_token);

/* The one after `token`, always the same with the same salt; without the master secret it cannot be told. */
void refresh_token_succeed(const char *master_secret, const struct refresh_token *token,
			   const unsigned char salt[REFRESH_SALT_SIZE], struct refresh_token *ret_next);

char *refresh_token_format(const char *master_secret, const struct refresh_token *token, char text[REFRESH_TOKEN_SIZE]);

/* 0; -EACCES: malformed, or not of ours. */
int refresh_token_parse(const char *master_secret, const char *text, struct refresh_token *ret_token);

/* What is kept of it: SHA-256 of the text, in hexadecimal. Returns `hex`. */
char *refresh_token_hash(const char *text, char hex[REFRESH_HASH_HEX_SIZE]);

#endif
