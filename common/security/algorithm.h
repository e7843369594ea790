/* The algorithms that access tokens are signed with (RFC 7518, RFC 8037), in the order of SIGNING_ALGORITHM. */
#ifndef ALGORITHM_H
#define ALGORITHM_H

enum algorithm {
	ALGORITHM_EDDSA, /* Ed25519 */
	ALGORITHM_ES256, /* ECDSA with P-256 */
	ALGORITHM_HS256, /* HMAC with SHA-256: whoever verifies can sign */
	ALGORITHM_RS256, /* RSA; only of other issuers, to verify */
};

#endif
