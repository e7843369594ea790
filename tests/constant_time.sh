#!/bin/sh
# Fails where a secret may be compared in a time that tells how much of it was right. In the files that tokens, API keys,
# passwords, their hashes and MACs pass through, sodium_memcmp() compares; anything else only what the source itself spells
# (literals, constants) and what is named here: what is public, and what was stored with what was stored.
set -eu
cd "$(dirname "$0")/.."

# FILE CALL, up to the second argument's end
named='
common/security/api_key.c memcmp(checksum, text + RANDOM_DIGITS
common/security/claims.c memcmp(name, reserved[i]
common/security/issuer_token.c string_equal(json_object_get_string(one), audience
common/security/issuer_token.c string_equal(key->kid, token->kid
common/security/issuers.c string_equal(issuers->items[i].name, name
common/security/issuers.c memcmp(issuer->text.data, fetch.body.data
common/security/issuers.c string_equal(issuer->keys[i].kid, token->kid
common/security/jws.c string_equal(text, expected
common/security/keyring.c string_equal(public_key, row->public_key
common/security/keyring.c string_equal(key->id, row->id
common/security/keyring.c string_equal(keys[i].id, id
common/security/phc.c strncmp(*text, literal
common/security/revocations.c memcmp(&revocations->slots[place].subject, &subject
common/security/signing_key.c string_equal(names[i], name
common/security/token.c string_equal(keys[i].id, id
server/routes/accounts/create_session.c strcmp(locked->password_hash, known->password_hash
server/http/checks.c strncasecmp(text->data, lowercase
server/http/checks.c memcmp(origin.data + origin.size - size, port
server/http/checks.c strncasecmp(origin.data, own.data
server/http/checks.c strcasecmp(name, ours[i]
server/http/client.c string_equal(address_source(&parsed, other
server/http/cookies.c memcmp(pair.data, name
'

git ls-files --cached --others --exclude-standard 'common/security/*.[ch]' 'server/routes/accounts/*.[ch]' \
    server/http/abuse.c server/http/authenticate.c server/http/checks.c server/http/client.c server/http/cookies.c |
    xargs grep -noE '\b(memcmp|bcmp|memmem|strn?(case)?cmp|strstr|string_equal|http_text_is)\([^,]*,?[^,)]*' |
    NAMED="$named" awk '
        BEGIN {
            n = split(ENVIRON["NAMED"], lines, "\n")
            for (i = 2; i < n; i++)
                allowed[lines[i]]
        }
        {
            name = $0
            sub(/:[0-9]+:/, " ", name)
            seen[name]
            if (!(name in allowed) && name !~ /, ("[^"]*"?|[A-Z][A-Z0-9_]+)$/) {
                print "constant_time: compare by sodium_memcmp(), or name it as public: " $0
                status = 1
            }
        }
        END {
            for (name in allowed)
                if (!(name in seen)) {
                    print "constant_time: nothing compares this any more: " name
                    status = 1
                }
            exit status
        }' >&2
