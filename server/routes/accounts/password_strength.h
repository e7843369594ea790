/*
 * How hard a password is to guess, as zxcvbn counts: it knows common words and passwords, names, dates, keyboards,
 * sequences and repetitions, also backwards and with characters that look alike.
 */
#ifndef PASSWORD_STRENGTH_H
#define PASSWORD_STRENGTH_H

#define PASSWORD_STRENGTH_MAX 4

/*
 * The score: 0 below 10^3 guesses, 1 below 10^6, 2 below 10^8, 3 below 10^10, else 4. `words` (ends with NULL) are
 * those that whoever guesses for this account tries first. `ret_weakness` (a constant) says what makes it easy to
 * guess, after "it is weak: ". No more is computed once `enough` is reached.
 *
 * The cost grows with the cube of the length. So a password is taken in pieces of 40 bytes, three at most, of which the
 * strongest counts: it is no stronger than the whole. 20 ms a piece at worst, mostly far below one: blocks, for a
 * thread.
 */
int password_strength(const char *password, const char *const words[], int enough, const char **ret_weakness);

#endif
