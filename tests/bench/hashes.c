/* What libsodium alone does: verifies Argon2id hashes of the server's default parameters on some threads for a while.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PASSES 2
#define MEMORY (19456 * 1024)

static char hash[crypto_pwhash_STRBYTES];
static atomic_bool over;
static atomic_long verified;

static void *verify(void *argument)
{
	static const char wrong[] = "a wrong password";

	(void)argument;
	while (!over) {
		if (crypto_pwhash_str_verify(hash, wrong, strlen(wrong)) == 0)
			abort();
		verified++;
	}
	return NULL;
}

static double now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
	int n_threads = argc == 3 ? atoi(argv[1]) : 0, seconds = argc == 3 ? atoi(argv[2]) : 0;
	pthread_t threads[256];
	double start;
	long count;

	if (n_threads < 1 || n_threads > 256 || seconds < 1) {
		fprintf(stderr, "usage: hashes THREADS SECONDS\n");
		return 64;
	}
	if (sodium_init() < 0 || crypto_pwhash_str_alg(hash, "right", 5, PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13))
		return 1;
	start = now();
	for (int i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, verify, NULL) != 0)
			return 1;
	sleep((unsigned)seconds);
	count = verified;
	printf("%.2f\n", (double)count / (now() - start));
	over = true;
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
