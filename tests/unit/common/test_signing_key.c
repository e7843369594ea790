#include <json-c/json.h>
#include <sodium.h>

#include "common/json.h"
#include "common/security/base64url.h"
#include "common/security/signing_key.h"
#include "tests/unit/test.h"

static size_t unhex(const char *text, unsigned char *out, size_t capacity)
{
	size_t size = 0;

	CU_ASSERT_EQUAL(sodium_hex2bin(out, capacity, text, strlen(text), NULL, &size, NULL), 0);
	return size;
}

static size_t decode(const char *text, unsigned char *out, size_t capacity)
{
	size_t size = 0;

	CU_ASSERT_EQUAL(base64url_decode(text, strlen(text), out, capacity, &size), 0);
	return size;
}

/* The signature is right, and nothing near it is. */
static void expect_good(const struct signing_key *key, const void *data, size_t size, unsigned char *signature,
			size_t signature_size)
{
	CU_ASSERT_TRUE(signing_key_verify(key, data, size, signature, signature_size));
	CU_ASSERT_FALSE(signing_key_verify(key, data, size, signature, signature_size - 1));
	CU_ASSERT_FALSE(signing_key_verify(key, data, size, signature, 0));
	for (size_t i = 0; i < signature_size; i++) {
		signature[i] ^= 1;
		CU_ASSERT_FALSE(signing_key_verify(key, data, size, signature, signature_size));
		signature[i] ^= 1;
	}
}

TEST(signing_key, keeps_to_rfc_8032)
{
	static const struct {
		const char *seed, *public_key, *message, *signature;
	} vectors[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
		  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
		{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
		  "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		unsigned char seed[32], expected_key[32], message[64], expected[64], signature[SIGNATURE_SIZE];
		struct signing_key key, public;
		size_t size;

		unhex(vectors[i].seed, seed, sizeof(seed));
		unhex(vectors[i].public_key, expected_key, sizeof(expected_key));
		unhex(vectors[i].signature, expected, sizeof(expected));
		size = unhex(vectors[i].message, message, sizeof(message));
		CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_EDDSA, seed, sizeof(seed), &key), 0);
		CU_ASSERT_EQUAL(key.public_size, sizeof(expected_key));
		CU_ASSERT_EQUAL(memcmp(key.public_key, expected_key, sizeof(expected_key)), 0);
		CU_ASSERT_EQUAL(signing_key_sign(&key, message, size, signature), sizeof(expected));
		CU_ASSERT_EQUAL(memcmp(signature, expected, sizeof(expected)), 0);
		CU_ASSERT_EQUAL_FATAL(signing_key_open_public(ALGORITHM_EDDSA, expected_key, 32, &public), 0);
		expect_good(&public, message, size, expected, sizeof(expected));
		signing_key_close(&key);
		signing_key_close(&public);
	}
}

/* A.3 and A.4. */
TEST(signing_key, keeps_to_rfc_8037)
{
	static const char signed_text[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
	unsigned char signature[64], seed[32];
	struct signing_key key;
	size_t size;

	decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", seed, sizeof(seed));
	CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_EDDSA, seed, sizeof(seed), &key), 0);
	CU_ASSERT_STRING_EQUAL(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	size = decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		      signature, sizeof(signature));
	expect_good(&key, signed_text, strlen(signed_text), signature, size);
	signing_key_close(&key);
}

/* A.1, A.2 and A.3. */
TEST(signing_key, keeps_to_rfc_7515)
{
#define PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	static const char hs256[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD;
	static const char rs256[] = "eyJhbGciOiJSUzI1NiJ9." PAYLOAD;
	static const char es256[] = "eyJhbGciOiJFUzI1NiJ9." PAYLOAD;
	unsigned char secret[64], signature[256], modulus[256], x[32], y[32];
	struct signing_key key;
	size_t size;

	size = decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", secret,
		      sizeof(secret));
	CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_HS256, secret, size, &key), 0);
	size = decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", signature, sizeof(signature));
	expect_good(&key, hs256, strlen(hs256), signature, size);
	signing_key_close(&key);

	size = decode(
		"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL"
		"-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
		"LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmou"
		"dF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
		modulus, sizeof(modulus));
	CU_ASSERT_EQUAL_FATAL(signing_key_open_rsa(modulus, size, (const unsigned char *)"\1\0\1", 3, &key), 0);
	size = decode("cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
		      "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
		      "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6"
		      "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		      signature, sizeof(signature));
	expect_good(&key, rs256, strlen(rs256), signature, size);
	signing_key_close(&key);

	decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", secret, 32);
	decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", x, sizeof(x));
	decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", y, sizeof(y));
	CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_ES256, secret, 32, &key), 0);
	CU_ASSERT_EQUAL(key.public_size, 65);
	CU_ASSERT_EQUAL(key.public_key[0], 4);
	CU_ASSERT_EQUAL(memcmp(key.public_key + 1, x, 32), 0);
	CU_ASSERT_EQUAL(memcmp(key.public_key + 33, y, 32), 0);
	size = decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		      signature, sizeof(signature));
	expect_good(&key, es256, strlen(es256), signature, size);
	signing_key_close(&key);
}

/* A key of any length, as RFC 2104 takes it. */
static struct signing_key hmac_key(const unsigned char *secret, size_t size)
{
	struct signing_key key = { .algorithm = ALGORITHM_HS256, .secret_size = size };

	if (size <= sizeof(key.secret_key))
		memcpy(key.secret_key, secret, size);
	else
		crypto_hash_sha256(key.secret_key, secret, size);
	if (size > sizeof(key.secret_key))
		key.secret_size = 32;
	return key;
}

TEST(signing_key, keeps_to_rfc_4231)
{
	static const struct {
		size_t key_size;
		const char *key; /* one byte where it is shorter than that: repeated */
		size_t size;
		const char *data; /* likewise */
		const char *mac;
	} vectors[] = {
		{ 20, "\x0b", 8, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ 4, "Jefe", 28, "what do ya want for nothing?",
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ 20, "\xaa", 50, "\xdd", "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
		{ 25, "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19", 50, "\xcd",
		  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
		{ 131, "\xaa", 54, "Test Using Larger Than Block-Size Key - Hash Key First",
		  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
		{ 131, "\xaa", 152,
		  "This is a test using a larger than block-size key and a larger than block-size data. The key needs "
		  "to "
		  "be hashed before being used by the HMAC algorithm.",
		  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		unsigned char secret[131], data[152], mac[32], made[SIGNATURE_SIZE];

		memset(secret, (unsigned char)vectors[i].key[0], sizeof(secret));
		if (strlen(vectors[i].key) > 1)
			memcpy(secret, vectors[i].key, vectors[i].key_size);
		memset(data, (unsigned char)vectors[i].data[0], sizeof(data));
		if (strlen(vectors[i].data) > 1)
			memcpy(data, vectors[i].data, vectors[i].size);
		unhex(vectors[i].mac, mac, sizeof(mac));
		struct signing_key key = hmac_key(secret, vectors[i].key_size);
		CU_ASSERT_EQUAL(signing_key_sign(&key, data, vectors[i].size, made), sizeof(mac));
		CU_ASSERT_EQUAL(memcmp(made, mac, sizeof(mac)), 0);
		expect_good(&key, data, vectors[i].size, mac, sizeof(mac));
	}
}

TEST(signing_key, makes_keys_of_each_algorithm)
{
	for (enum algorithm algorithm = ALGORITHM_EDDSA; algorithm <= ALGORITHM_HS256; algorithm++) {
		unsigned char signature[SIGNATURE_SIZE];
		struct signing_key key, again, other;
		size_t size;

		signing_key_generate(algorithm, &key);
		signing_key_generate(algorithm, &other);
		CU_ASSERT_EQUAL(key.algorithm, algorithm);
		CU_ASSERT_EQUAL(strlen(key.id), SIGNING_KEY_ID_SIZE - 1);
		CU_ASSERT_STRING_NOT_EQUAL(key.id, other.id);
		CU_ASSERT_EQUAL_FATAL(signing_key_open(algorithm, key.secret_key, SIGNING_SECRET_SIZE, &again), 0);
		CU_ASSERT_STRING_EQUAL(key.id, again.id);
		size = signing_key_sign(&again, "data", 4, signature);
		CU_ASSERT_FALSE(signing_key_verify(&other, "data", 4, signature, size));
		CU_ASSERT_FALSE(signing_key_verify(&key, "date", 4, signature, size));
		expect_good(&key, "data", 4, signature, size);
		if (key.public_size) {
			struct signing_key public;

			CU_ASSERT_EQUAL_FATAL(
				signing_key_open_public(algorithm, key.public_key, key.public_size, &public), 0);
			expect_good(&public, "data", 4, signature, size);
			signing_key_close(&public);
		}
		signing_key_close(&key);
		signing_key_close(&again);
		signing_key_close(&other);
	}
}

TEST(signing_key, refuses_what_is_no_key)
{
	static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	unsigned char bytes[1100];
	struct signing_key key, good;

	memset(bytes, 0, sizeof(bytes));
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_ES256, bytes, 32, &key), -EINVAL);
	unhex(order, bytes, 32);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_ES256, bytes, 32, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_ES256, bytes, 31, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_EDDSA, bytes, 31, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_HS256, bytes, 31, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_HS256, bytes, 65, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open(ALGORITHM_RS256, bytes, 32, &key), -EINVAL);
	bytes[31]--; /* the greatest there is */
	CU_ASSERT_EQUAL_FATAL(signing_key_open(ALGORITHM_ES256, bytes, 32, &good), 0);

	/* Not on the curve, compressed, at infinity, too short; of an algorithm without a public half. */
	memcpy(bytes, good.public_key, 65);
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_ES256, bytes, 64, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_HS256, bytes, 32, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_RS256, bytes, 32, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_EDDSA, bytes, 33, &key), -EINVAL);
	bytes[64] ^= 1;
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_ES256, bytes, 65, &key), -EINVAL);
	for (unsigned char first = 0; first < 8; first++) {
		memcpy(bytes, good.public_key, 65);
		bytes[0] = first;
		if (first != 4)
			CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_ES256, bytes, 65, &key), -EINVAL);
	}
	memset(bytes, 0, 65);
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_ES256, bytes, 65, &key), -EINVAL);
	bytes[0] = 4;
	CU_ASSERT_EQUAL(signing_key_open_public(ALGORITHM_ES256, bytes, 65, &key), -EINVAL);
	signing_key_close(&good);
}

TEST(signing_key, takes_rsa_of_2048_to_8192_bits)
{
	const unsigned char *usual = (const unsigned char *)"\1\0\1";
	unsigned char modulus[1100];
	struct signing_key key;

	memset(modulus, 0xff, sizeof(modulus));
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 255, usual, 3, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 1025, usual, 3, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 0, usual, 3, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, usual, 0, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, (const unsigned char *)"\1", 1, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, (const unsigned char *)"\1\0", 2, &key), -EINVAL);
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, (const unsigned char *)"\1\0\0\0\0\0\0\0\1", 9, &key),
			-EINVAL);
	CU_ASSERT_EQUAL_FATAL(signing_key_open_rsa(modulus, 1024, usual, 3, &key), 0);
	CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, modulus, 1024));
	CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, modulus, 0));
	signing_key_close(&key);
	modulus[255] = 0xfe;
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, usual, 3, &key), -EINVAL);
	modulus[255] = 0xff;
	modulus[0] = 0x7f;
	CU_ASSERT_EQUAL(signing_key_open_rsa(modulus, 256, usual, 3, &key), -EINVAL);
}

/* r and s from 1 to the order less 1; a signature of zeroes was once taken elsewhere (CVE-2022-21449). */
TEST(signing_key, refuses_signatures_out_of_range)
{
	static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	unsigned char signature[64], good[64], zeroes[64] = { 0 };
	struct signing_key key;

	signing_key_generate(ALGORITHM_ES256, &key);
	signing_key_sign(&key, "data", 4, good);
	for (size_t half = 0; half < 64; half += 32) {
		memcpy(signature, good, 64);
		memset(signature + half, 0, 32);
		CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, signature, 64));
		unhex(order, signature + half, 32);
		CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, signature, 64));
		memset(signature + half, 0xff, 32);
		CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, signature, 64));
	}
	CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, zeroes, 64));
	signing_key_close(&key);
	signing_key_generate(ALGORITHM_EDDSA, &key);
	CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, zeroes, 64));
	signing_key_close(&key);
	signing_key_generate(ALGORITHM_HS256, &key);
	CU_ASSERT_FALSE(signing_key_verify(&key, "data", 4, zeroes, 32));
	signing_key_close(&key);
}

/* ---- the public corpora: PRONG_TEST_CORPORA names their folder ---- */

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	CU_ASSERT_TRUE_FATAL(json_object_object_get_ex(object, name, &value));
	return value;
}

static const char *text_of(struct json_object *object, const char *name)
{
	return json_object_get_string(member(object, name));
}

/* `key_of` opens the key of a test. Returns false where that is refused, which makes the signature so too. */
static void try_group(struct json_object *group, const char *signature_name,
		      bool (*key_of)(struct json_object *group, struct json_object *test, struct signing_key *ret_key),
		      size_t valid_size)
{
	struct json_object *tests = member(group, "tests");

	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *test = json_object_array_get_idx(tests, i);
		bool valid = strcmp(text_of(test, "result"), "valid") == 0, accepted;
		unsigned char message[4096], signature[1024];
		size_t size = unhex(text_of(test, "msg"), message, sizeof(message));
		size_t signature_size = unhex(text_of(test, signature_name), signature, sizeof(signature));
		struct signing_key key = { 0 };

		accepted =
			key_of(group, test, &key) && signing_key_verify(&key, message, size, signature, signature_size);
		if (signature_size != valid_size)
			valid = false;
		if (accepted != valid)
			printf("\ntest %s: %s\n", text_of(test, "tcId"), text_of(test, "comment"));
		CU_ASSERT_EQUAL(accepted, valid);
		signing_key_close(&key);
	}
}

static void try_file(const char *name, bool required, const char *signature_name,
		     bool (*key_of)(struct json_object *group, struct json_object *test, struct signing_key *ret_key),
		     size_t valid_size)
{
	const char *folder = getenv("PRONG_TEST_CORPORA");
	_cleanup_(json_object_putp) struct json_object *vectors = NULL;
	_cleanup_(freep) char *path = NULL;

	if (!folder)
		return;
	path = format_text("%s/wycheproof/%s", folder, name);
	if (access(path, R_OK) < 0 && !required)
		return;
	vectors = json_object_from_file(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(vectors);
	struct json_object *groups = member(vectors, "testGroups");
	CU_ASSERT(json_object_array_length(groups) > 0);
	for (size_t i = 0; i < json_object_array_length(groups); i++)
		try_group(json_object_array_get_idx(groups, i), signature_name, key_of, valid_size);
}

static bool eddsa_key(struct json_object *group, struct json_object *test, struct signing_key *ret_key)
{
	unsigned char public_key[32];
	size_t size = unhex(text_of(member(group, "publicKey"), "pk"), public_key, sizeof(public_key));

	(void)test;
	return signing_key_open_public(ALGORITHM_EDDSA, public_key, size, ret_key) == 0;
}

TEST(signing_key, keeps_to_wycheproof_eddsa)
{
	try_file("ed25519_test.json", true, "sig", eddsa_key, 64);
}

/* Tags that were cut short are right elsewhere; here they are not. */
static bool hs256_key(struct json_object *group, struct json_object *test, struct signing_key *ret_key)
{
	unsigned char secret[256];

	(void)group;
	*ret_key = hmac_key(secret, unhex(text_of(test, "key"), secret, sizeof(secret)));
	return true;
}

TEST(signing_key, keeps_to_wycheproof_hs256)
{
	try_file("hmac_sha256_test.json", true, "tag", hs256_key, 32);
}

static bool es256_key(struct json_object *group, struct json_object *test, struct signing_key *ret_key)
{
	unsigned char public_key[65];
	size_t size = unhex(text_of(member(group, "publicKey"), "uncompressed"), public_key, sizeof(public_key));

	(void)test;
	return signing_key_open_public(ALGORITHM_ES256, public_key, size, ret_key) == 0;
}

/* Not in every copy of the corpora. */
TEST(signing_key, keeps_to_wycheproof_es256)
{
	try_file("ecdsa_secp256r1_sha256_p1363_test.json", false, "sig", es256_key, 64);
}
