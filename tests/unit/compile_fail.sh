#!/bin/sh
# What a schema cannot be made of does not compile. Usage: compile_fail.sh COMPILER; runs from the top of the sources.
set -eu

compiler=$1
failures=0

# compiles yes|no WHAT MEMBERS FIELDS
compiles() {
    if printf '%s\n' \
        '#include <prong/prong.h>' \
        'enum colour { RED, GREEN };' \
        'struct part { const char *label; };' \
        'PRONG_SCHEMA(part, PRONG_FIELD(part, label));' \
        'struct other { int32_t n; };' \
        'PRONG_SCHEMA(other, PRONG_FIELD(other, n));' \
        "struct sample { $3 };" \
        "PRONG_SCHEMA(sample, $4);" |
        "$compiler" -std=gnu17 -Iinclude -Wall -Wextra -Werror -Wno-missing-field-initializers -fsyntax-only -x c - 2>/dev/null
    then
        result=yes
    else
        result=no
    fi
    if [ "$result" != "$1" ]; then
        echo "compiles: $result, should be $1: $2" >&2
        failures=$((failures + 1))
    fi
}

# First that the right ones do: otherwise the wrong ones would fail for another reason.
compiles yes 'a string' 'const char *a;' 'PRONG_FIELD(sample, a, .required = true)'
compiles yes 'scalars' 'bool a; int32_t b; int64_t c; double d; char *e; prong_uuid f; prong_time g; prong_json h; long long i;' \
    'PRONG_FIELD(sample, a), PRONG_FIELD(sample, b), PRONG_FIELD(sample, c), PRONG_FIELD(sample, d), PRONG_FIELD(sample, e),
     PRONG_FIELD(sample, f), PRONG_FIELD(sample, g), PRONG_FIELD(sample, h), PRONG_FIELD(sample, i)'
compiles yes 'optional scalars' 'prong_opt_bool a; prong_opt_int32 b; prong_opt_int64 c; prong_opt_double d; prong_opt_uuid e; prong_opt_time f;' \
    'PRONG_FIELD(sample, a), PRONG_FIELD(sample, b), PRONG_FIELD(sample, c), PRONG_FIELD(sample, d), PRONG_FIELD(sample, e),
     PRONG_FIELD(sample, f, .nullable = true)'
compiles yes 'an enum' 'enum colour a;' 'PRONG_FIELD(sample, a, .values = PRONG_VALUES("red", "green"))'
compiles yes 'a nested record' 'struct part *a; const struct part *b;' \
    'PRONG_FIELD_OBJECT(sample, a, part), PRONG_FIELD_OBJECT(sample, b, part)'
compiles yes 'arrays' 'PRONG_ARRAY(const char *) a; PRONG_ARRAY(struct part) b; PRONG_ARRAY(enum colour) c;' \
    'PRONG_FIELD_ARRAY(sample, a), PRONG_FIELD_OBJECTS(sample, b, part), PRONG_FIELD_ARRAY(sample, c, .values = PRONG_VALUES("red"))'
compiles yes 'ranges' 'int64_t a; double b;' \
    'PRONG_FIELD(sample, a, .range = PRONG_RANGE(INT64_MIN, 5)), PRONG_FIELD(sample, b, .range = PRONG_RANGE(-1e300, 0.5))'

compiles no 'a float' 'float a;' 'PRONG_FIELD(sample, a)'
compiles no 'a short' 'short a;' 'PRONG_FIELD(sample, a)'
compiles no 'an unsigned long' 'unsigned long a;' 'PRONG_FIELD(sample, a)'
compiles no 'a char' 'char a;' 'PRONG_FIELD(sample, a)'
compiles no 'an array of char' 'char a[20];' 'PRONG_FIELD(sample, a)'
compiles no 'a bit-field' 'unsigned a : 3;' 'PRONG_FIELD(sample, a)'
compiles no 'a void pointer' 'void *a;' 'PRONG_FIELD(sample, a)'
compiles no 'an unsigned char pointer' 'unsigned char *a;' 'PRONG_FIELD(sample, a)'
compiles no 'an unknown member' 'bool a;' 'PRONG_FIELD(sample, b)'
compiles no 'an unknown rule' 'bool a;' 'PRONG_FIELD(sample, a, .maximum = 5)'
compiles no 'a nested record as a scalar' 'struct part *a;' 'PRONG_FIELD(sample, a)'
compiles no 'another nested record' 'struct part *a;' 'PRONG_FIELD_OBJECT(sample, a, other)'
compiles no 'a nested record by value' 'struct part a;' 'PRONG_FIELD_OBJECT(sample, a, part)'
compiles no 'a C array of nested records' 'struct part a[3];' 'PRONG_FIELD_OBJECT(sample, a, part)'
compiles no 'a scalar as a nested record' 'const char *a;' 'PRONG_FIELD_OBJECT(sample, a, part)'
compiles no 'a nested record without schema' 'struct nothing *a;' 'PRONG_FIELD_OBJECT(sample, a, nothing)'
compiles no 'an array as a scalar' 'PRONG_ARRAY(bool) a;' 'PRONG_FIELD(sample, a)'
compiles no 'a scalar as an array' 'const char *a;' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'a C array as an array' 'bool a[3];' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'an array of float' 'PRONG_ARRAY(float) a;' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'an array of C arrays' 'PRONG_ARRAY(bool *) a;' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'an array the other way round' 'struct { bool *items; size_t count; } a;' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'an array with a small count' 'struct { int count; bool *items; } a;' 'PRONG_FIELD_ARRAY(sample, a)'
compiles no 'an array of other records' 'PRONG_ARRAY(struct part) a;' 'PRONG_FIELD_OBJECTS(sample, a, other)'
compiles no 'an array of pointers to records' 'PRONG_ARRAY(struct part *) a;' 'PRONG_FIELD_OBJECTS(sample, a, part)'

# parameter yes|no TYPE
parameter() {
    if printf '%s\n' \
        '#include <prong/prong.h>' \
        'enum colour { RED, GREEN };' \
        'struct part { int32_t n; };' \
        "typedef $2;" \
        'int f(struct prong_ctx *ctx, value v); int f(struct prong_ctx *ctx, value v) { return prong_exec(ctx, "SELECT $1", v); }' |
        "$compiler" -std=gnu17 -Iinclude -Wall -Wextra -Werror -fsyntax-only -x c - 2>/dev/null
    then
        result=yes
    else
        result=no
    fi
    if [ "$result" != "$1" ]; then
        echo "compiles: $result, should be $1: a parameter of typedef $2" >&2
        failures=$((failures + 1))
    fi
}

parameter yes 'bool value'
parameter yes 'int32_t value'
parameter yes 'const char *value'
parameter yes 'prong_json value'
parameter yes 'prong_opt_time value'
parameter no 'enum colour value' # its number is not what a column of names holds
parameter no 'size_t value'
parameter no 'void *value'
parameter no 'struct part value'
parameter no 'struct part *value'
parameter no 'PRONG_ARRAY(const char *) value'

[ "$failures" -eq 0 ]
