/* The form of an API key; what becomes of one that is presented is in api_keys.c. */
#include "common/security/api_key.h"

#include <sodium.h>

#include "common/basics.h"

#define PREFIX_SIZE (sizeof(API_KEY_PREFIX) - 1)
#define RANDOM_SIZE 32
#define RANDOM_DIGITS 43 /* 62^43 > 2^256 */
#define CHECKSUM_DIGITS 6

_Static_assert(PREFIX_SIZE + RANDOM_DIGITS + CHECKSUM_DIGITS + 1 == API_KEY_SIZE, "the parts are the whole");

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Writes a number of big-endian limbs with leading zeros; the limbs end as zeros. */
static void write_base62(uint32_t *limbs, size_t n_limbs, char *out, size_t n_digits)
{
	for (size_t digit = n_digits; digit-- > 0;) {
		uint64_t rest = 0;

		for (size_t i = 0; i < n_limbs; i++) {
			rest = rest << 32 | limbs[i];
			limbs[i] = (uint32_t)(rest / 62);
			rest %= 62;
		}
		out[digit] = base62[rest];
	}
}

/* CRC-32 as in zlib, PNG and Ethernet: reflected, polynomial 0x04C11DB7; half a byte at a time. */
static uint32_t crc32(const char *text, size_t size)
{
	static const uint32_t steps[16] = {
		0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
		0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned char)text[i];
		crc = crc >> 4 ^ steps[crc & 15];
		crc = crc >> 4 ^ steps[crc & 15];
	}
	return ~crc;
}

/* Of the digits of the random part, as they are written. */
static void write_checksum(const char digits[RANDOM_DIGITS], char out[CHECKSUM_DIGITS])
{
	uint32_t crc = crc32(digits, RANDOM_DIGITS);

	write_base62(&crc, 1, out, CHECKSUM_DIGITS);
}

void api_key_make(char ret_key[API_KEY_SIZE])
{
	uint32_t secret[RANDOM_SIZE / sizeof(uint32_t)];
	char *digits = ret_key + PREFIX_SIZE;

	randombytes_buf(secret, sizeof(secret));
	memcpy(ret_key, API_KEY_PREFIX, PREFIX_SIZE);
	write_base62(secret, ARRAY_SIZE(secret), digits, RANDOM_DIGITS);
	write_checksum(digits, digits + RANDOM_DIGITS);
	ret_key[API_KEY_SIZE - 1] = '\0';
}

void api_key_hash(const char *key, unsigned char ret_hash[API_KEY_HASH_SIZE])
{
	_Static_assert(API_KEY_HASH_SIZE == crypto_hash_sha256_BYTES, "SHA-256");
	crypto_hash_sha256(ret_hash, (const unsigned char *)key, API_KEY_SIZE - 1);
}

bool api_key_is_meant(const char *text, size_t size)
{
	return size >= PREFIX_SIZE && memcmp(text, API_KEY_PREFIX, PREFIX_SIZE) == 0;
}

bool api_key_is_valid(const char *text, size_t size)
{
	char checksum[CHECKSUM_DIGITS];

	if (size != API_KEY_SIZE - 1 || !api_key_is_meant(text, size))
		return false;
	text += PREFIX_SIZE;
	for (size_t i = 0; i < RANDOM_DIGITS; i++)
		if (!text[i] || !strchr(base62, text[i]))
			return false;
	write_checksum(text, checksum);
	return memcmp(checksum, text + RANDOM_DIGITS, CHECKSUM_DIGITS) == 0;
}
