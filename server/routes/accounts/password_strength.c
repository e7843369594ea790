#include "server/routes/accounts/password_strength.h"

#include <math.h>
#include <string.h>
#include <zxcvbn.h>

#include "common/basics.h"

#define PIECE 40
#define MAX_PIECES 3
#define SHORTEST_PART 3 /* shorter ones are found in any password */

static int count_score(double guesses)
{
	static const double least[PASSWORD_STRENGTH_MAX] = { 1e3, 1e6, 1e8, 1e10 };
	int score = 0;

	while (score < PASSWORD_STRENGTH_MAX && guesses >= least[score])
		score++;
	return score;
}

/* The longest part that was recognised says most. */
static int main_type(const ZxcMatch_t *parts)
{
	int longest = SHORTEST_PART - 1, type = BRUTE_MATCH;

	for (const ZxcMatch_t *part = parts; part; part = part->Next)
		if (part->Type != BRUTE_MATCH && part->Length > longest) {
			longest = part->Length;
			type = (int)part->Type;
		}
	return type;
}

static const char *describe(int type)
{
	switch (type) {
	case DICTIONARY_MATCH:
		return "there is a common word or password in it";
	case DICT_LEET_MATCH:
		return "there is a common word or password in it, written with characters that look alike";
	case USER_MATCH:
	case USER_LEET_MATCH:
		return "it contains your address, your name or that of the application";
	case SEQUENCE_MATCH:
		return "there is a sequence in it, such as abc or 123";
	case SPATIAL_MATCH:
		return "it is a pattern on the keyboard";
	case DATE_MATCH:
	case YEAR_MATCH:
		return "there is a date in it";
	case BRUTE_MATCH:
		return "it is short for what it is made of";
	default: /* REPEATS_MATCH, or another with MULTIPLE_MATCH */
		return "it repeats itself";
	}
}

static int measure(const char *piece, const char *const words[], const char **ret_weakness)
{
	ZxcMatch_t *parts = NULL;
	double bits = ZxcvbnMatch(piece, (const char **)words, &parts);

	*ret_weakness = describe(main_type(parts));
	ZxcvbnFreeInfo(parts);
	return count_score(exp2(bits));
}

int password_strength(const char *password, const char *const words[], int enough, const char **ret_weakness)
{
	size_t size = strlen(password);
	char piece[PIECE + 1];
	int best = -1;

	for (size_t i = 0; i == 0 || (i < MAX_PIECES && i * PIECE < size && best < enough); i++) {
		const char *weakness;
		int score;

		*stpncpy(piece, password + i * PIECE, PIECE) = '\0';
		score = measure(piece, words, &weakness);
		if (score > best) {
			best = score;
			*ret_weakness = weakness;
		}
	}
	explicit_bzero(piece, sizeof(piece));
	return best;
}
