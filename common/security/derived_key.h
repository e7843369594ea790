/*
 * Keys derived from PRONG_SECRET: each purpose has its own context, so that no key of one serves another. Pure
 * functions.
 */
#ifndef DERIVED_KEY_H
#define DERIVED_KEY_H

#define DERIVED_KEY_SIZE 32
#define DERIVED_KEY_CONTEXT_SIZE 8 /* characters, exactly */

/* The caller wipes it (sodium_memzero()). */
void derived_key_make(const char *master_secret, const char *context, unsigned char ret_key[DERIVED_KEY_SIZE]);

#endif
