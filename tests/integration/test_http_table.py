"""What every input on the wire gets: the complete table, against the running server.

Each case is sent three ways: whole, one byte at a time, and with a valid request pipelined behind it. The application
counts what it executes, so that a case shows not only its answer but that nothing else ran: after an answer that closes
the connection, the request behind must not.
"""
import os
import pathlib
import re
import unittest

from harness import App, Ended, Services, binary

HOST = b"Host: a.example\r\n"
JSON = b"Content-Type: application/json\r\n"
SAMPLE = b'{"text":"a"}'
FOLLOWER = b"POST /v1/hits HTTP/1.1\r\nHost: a.example\r\n\r\n"
MAX_BODY = 20000

CLOSED, OPEN = True, False


class Case:
    """A request and what it gets: one of `statuses`, whether the connection closes, how many handlers ran for it."""

    def __init__(self, name, data, statuses, closes, executed=0, headers=None, method="GET", silent=False):
        self.name, self.data, self.closes, self.executed = name, data, closes, executed
        self.statuses = (statuses,) if isinstance(statuses, int) else statuses
        self.headers = headers or {}
        self.method = method
        self.silent = silent  # the connection may close without an answer


def line(text, *fields):
    """A request without body: its first line and fields behind Host."""
    return text + b"\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def get(*fields):
    return line(b"GET /v1/items/1 HTTP/1.1", *fields)


def post(*fields, body=SAMPLE, path=b"/v1/echo", version=b"HTTP/1.1"):
    """A POST of JSON with just these further fields: its framing is theirs."""
    further = b"".join(field + b"\r\n" for field in fields)
    return b"POST " + path + b" " + version + b"\r\n" + HOST + JSON + further + b"\r\n" + body


def length_of(body):
    return b"Content-Length: %d" % len(body)


def chunked(body):
    """A chunked POST whose encoded body is `body`."""
    return post(b"Transfer-Encoding: chunked", body=body)


def whole_chunk(body):
    return b"%x\r\n%s\r\n" % (len(body), body)


def bad(name, data, statuses=400, **more):
    return Case(name, data, statuses, CLOSED, **more)


def served(name, data, status=200, **more):
    return Case(name, data, status, OPEN, **({"executed": 1} | more))


def answered(name, data, statuses, **more):
    """Refused, and the connection goes on."""
    return Case(name, data, statuses, OPEN, **more)


REQUEST_LINES = [
    served("plain", line(b"GET /v1/items/1 HTTP/1.1")),
    served("one empty line before", b"\r\n" + get()),
    bad("two empty lines before", b"\r\n\r\n" + get()),
    bad("two spaces", line(b"GET  /v1/items/1 HTTP/1.1")),
    bad("two spaces before the version", line(b"GET /v1/items/1  HTTP/1.1")),
    bad("TAB for the first space", line(b"GET\t/v1/items/1 HTTP/1.1")),
    bad("TAB for the second space", line(b"GET /v1/items/1\tHTTP/1.1")),
    bad("leading space", line(b" GET /v1/items/1 HTTP/1.1")),
    bad("trailing space", line(b"GET /v1/items/1 HTTP/1.1 ")),
    bad("no target", line(b"GET HTTP/1.1")),
    bad("no version", line(b"GET /v1/items/1")),
    bad("method alone", line(b"GET")),
    bad("four parts", line(b"GET /v1/items/1 2 HTTP/1.1")),
    bad("HTTP/0.9", b"GET /v1/items/1\r\n"),
    bad("HTTP/0.9 by name", line(b"GET /v1/items/1 HTTP/0.9")),
    bad("lowercase http", line(b"GET /v1/items/1 http/1.1")),
    bad("bare LF", b"GET /v1/items/1 HTTP/1.1\n" + HOST + b"\r\n"),
    bad("bare CR", b"GET /v1/items/1 HTTP/1.1\r" + HOST + b"\r\n"),
    bad("NUL", line(b"GET /v1/items/\0 HTTP/1.1")),
]

VERSIONS = [
    bad("2.0", line(b"GET /v1/items/1 HTTP/2.0"), 505),
    bad("3.0", line(b"GET /v1/items/1 HTTP/3.0"), 505),
    bad("1.", line(b"GET /v1/items/1 HTTP/1.")),
    bad("01.1", line(b"GET /v1/items/1 HTTP/01.1")),
    bad("1.01", line(b"GET /v1/items/1 HTTP/1.01")),
    bad("overflow", line(b"GET /v1/items/1 HTTP/4294967297.1")),
    bad("minor overflow", line(b"GET /v1/items/1 HTTP/1.18446744073709551617")),
    served("1.2", line(b"GET /v1/items/1 HTTP/1.2")),
]

METHODS = [
    answered("unknown", line(b"BREW /v1/items/1 HTTP/1.1"), 501),
    answered("lowercase", line(b"get /v1/items/1 HTTP/1.1"), 501),
    answered("overlong", line(b"A" * 1000 + b" /v1/items/1 HTTP/1.1"), 501),
    bad("unknown, with a body", line(b"BREW /v1/items/1 HTTP/1.1", b"Content-Length: 1") + b"a", 501),
    answered("not a token", line(b"GE@T /v1/items/1 HTTP/1.1"), 400),
    answered("not on this route", line(b"PUT /v1/items/1 HTTP/1.1"), 405, headers={"allow": "GET, HEAD, DELETE"}),
    answered("DELETE of another", line(b"DELETE /v1/hits HTTP/1.1"), 405, headers={"allow": "GET, HEAD, POST"}),
    answered("not on this route, with a body", line(b"PUT /v1/items/1 HTTP/1.1", b"Content-Length: 5") + b"hello", 405),
    answered("TRACE", line(b"TRACE /v1/items/1 HTTP/1.1"), 405, headers={"allow": "GET, HEAD, DELETE"}),
    answered("OPTIONS", line(b"OPTIONS /v1/items/1 HTTP/1.1"), 405, headers={"allow": "GET, HEAD, DELETE"}),
    answered("OPTIONS *", line(b"OPTIONS * HTTP/1.1"), 405, headers={"allow": ".+"}),
    bad("CONNECT", line(b"CONNECT a.example:443 HTTP/1.1"), 405, headers={"allow": ".+"}),
    bad("CONNECT with a path", line(b"CONNECT /v1/items/1 HTTP/1.1"), 405, headers={"allow": "GET, HEAD, DELETE"}),
]

TARGETS = [
    bad("raw control character", line(b"GET /v1/items/\x01 HTTP/1.1")),
    bad("raw DEL", line(b"GET /v1/items/\x7f HTTP/1.1")),
    answered("raw UTF-8", line("GET /v1/items/é HTTP/1.1".encode()), 400),
    answered("raw Latin-1", line(b"GET /v1/items/\xe9 HTTP/1.1"), 400),
    answered("fragment", line(b"GET /v1/items/1#a HTTP/1.1"), 400),
    answered("authority form", line(b"GET a.example:80 HTTP/1.1"), 400),
    answered("asterisk", line(b"GET * HTTP/1.1"), 400),
    answered("bad %", line(b"GET /v1/items/%zz HTTP/1.1"), 400),
    answered("short %", line(b"GET /v1/items/%4 HTTP/1.1"), 400),
    answered("% alone", line(b"GET /v1/items/% HTTP/1.1"), 400),
    answered("bad % in the query", line(b"GET /v1/items/1?%zz HTTP/1.1"), 400),
    answered("%00", line(b"GET /v1/items/%00 HTTP/1.1"), 400),
    answered("%00 in the query", line(b"GET /v1/items/1?a=%00 HTTP/1.1"), 400),
    answered("..", line(b"GET /v1/items/../hits HTTP/1.1"), 400),
    answered("encoded ..", line(b"GET /v1/items/%2e%2E/hits HTTP/1.1"), 400),
    answered(".", line(b"GET /v1/./items/1 HTTP/1.1"), 400),
    answered("%2f", line(b"GET /v1/items%2f1 HTTP/1.1"), 400),
    answered("%2F in a parameter", line(b"GET /v1/items/a%2Fb HTTP/1.1"), 400),
    answered("double-encoded ..", line(b"GET /v1/items/%252e%252e/hits HTTP/1.1"), 404),
    answered("double-encoded /", line(b"GET /v1%252fitems/1 HTTP/1.1"), 404),
    answered("overlong UTF-8", line(b"GET /v1/items/%c0%af HTTP/1.1"), 400),
    answered("surrogate", line(b"GET /v1/items/%ed%a0%80 HTTP/1.1"), 400),
    answered("cut UTF-8", line(b"GET /v1/items/%c3 HTTP/1.1"), 400),
    answered("backslash", line(b"GET /v1\\items\\1 HTTP/1.1"), 400),
    answered("two slashes", line(b"GET /v1//items/1 HTTP/1.1"), 404),
    answered("trailing slash", line(b"GET /v1/items/1/ HTTP/1.1"), 404),
    answered("other case", line(b"GET /V1/items/1 HTTP/1.1"), 404),
    answered("unknown", line(b"GET /nothing HTTP/1.1"), 404),
    answered("just over the limit", line(b"GET /v1/items/" + b"a" * 8183 + b" HTTP/1.1"), 414),
    bad("far over the limit", line(b"GET /v1/items/" + b"a" * 12000 + b" HTTP/1.1"), 414),
    served("just in the limit", line(b"GET /v1/items/" + b"a" * 8182 + b" HTTP/1.1")),
    served("absolute form", line(b"GET http://b.example:8080/v1/items/1 HTTP/1.1")),
    answered("absolute form, other scheme", line(b"GET ftp://b.example/v1/items/1 HTTP/1.1"), 400),
    answered("absolute form, userinfo", line(b"GET http://a@b.example/v1/items/1 HTTP/1.1"), 400),
    answered("absolute form, no authority", line(b"GET http:///v1/items/1 HTTP/1.1"), 400),
]


def host(value):
    return b"GET /v1/items/1 HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


HOSTS = [
    served("name and port", host(b"a.example:8080")),
    served("IPv6", host(b"[::1]:8080")),
    bad("none", b"GET /v1/items/1 HTTP/1.1\r\n\r\n"),
    bad("none, absolute form", b"GET http://a.example/v1/items/1 HTTP/1.1\r\n\r\n"),
    bad("empty", host(b"")),
    bad("duplicate", host(b"a.example\r\nHost: b.example")),
    bad("equal duplicate", host(b"a.example\r\nhost: a.example")),
    bad("list", host(b"a.example, b.example")),
    bad("userinfo", host(b"user@a.example")),
    bad("path", host(b"a.example/v1")),
    bad("URI", host(b"http://a.example")),
    bad("bad port", host(b"a.example:x")),
    bad("port too large", host(b"a.example:65536")),
    bad("empty port", host(b"a.example:")),
    bad("open bracket", host(b"[::1")),
    bad("UTF-8", host("é.example".encode())),
    Case("none in HTTP/1.0", b"GET /v1/items/1 HTTP/1.0\r\n\r\n", 200, CLOSED, executed=1),
    served("none in HTTP/1.0, keep-alive", b"GET /v1/items/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
           headers={"connection": "keep-alive"}),
    bad("two in HTTP/1.0", b"GET /v1/items/1 HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
]

FIELDS = [
    served("obs-text in a value", get(b"A: \xe9\xff")),
    served("closing", get(b"A: b")),
    bad("empty name", get(b": a")),
    bad("no colon", get(b"A")),
    bad("space before the colon", get(b"A : b")),
    bad("TAB before the colon", get(b"A\t: b")),
    bad("obs-fold", get(b"A: b", b" c")),
    bad("obs-fold with TAB", get(b"A: b", b"\tc")),
    bad("first field folded", b"GET /v1/items/1 HTTP/1.1\r\n " + HOST + b"\r\n"),
    bad("NUL in a value", get(b"A: b\0c")),
    bad("NUL in a name", get(b"A\0: b")),
    bad("bare CR", get(b"A: b\rc")),
    bad("bare LF", get(b"A: b\nc: d")),
    bad("LF ends the head", b"GET /v1/items/1 HTTP/1.1\r\n" + HOST + b"\n"),
    bad("control character", get(b"A: \x01")),
    bad("DEL", get(b"A: \x7f")),
    bad("bracket in a name", get(b"A[b]: c")),
    bad("UTF-8 in a name", get("é: a".encode())),
    Case("connection: close", get(b"Connection: close"), 200, CLOSED, executed=1),
]

LIMITS = [
    served("one line just in the limit", get(b"A:" + b"b" * 16382)),
    bad("one line over the limit", get(b"A:" + b"b" * 16383), 431),
    bad("all lines over the limit", get(b"A:" + b"a" * 15000, b"B:" + b"b" * 15000, b"C:" + b"c" * 15000), 431),
    served("count just in the limit", get(*[b"A: b"] * 99)),
    bad("count over the limit", get(*[b"A: b"] * 100), 431),
    bad("many tiny fields", get(*[b"A:"] * 8000), 431),
]

CONTENT_LENGTHS = [
    served("plain", post(length_of(SAMPLE))),
    bad("plus", post(b"Content-Length: +12")),
    bad("minus", post(b"Content-Length: -12")),
    bad("0x", post(b"Content-Length: 0xc")),
    bad("empty", post(b"Content-Length:")),
    bad("list", post(b"Content-Length: 12, 12")),
    bad("duplicate", post(b"Content-Length: 12", b"Content-Length: 0")),
    bad("equal duplicate", post(b"Content-Length: 12", b"Content-Length: 12")),
    bad("overflow", post(b"Content-Length: 18446744073709551628")),
    bad("int64 overflow", post(b"Content-Length: 9223372036854775808")),
    bad("two numbers", post(b"Content-Length: 1 2")),
    bad("fraction", post(b"Content-Length: 12.0")),
    bad("space before the colon", post(b"Content-Length : 12")),
    bad("declared too large", post(b"Content-Length: %d" % (MAX_BODY + 1), body=b""), 413),
    bad("declared huge", post(b"Content-Length: 9223372036854775807", body=b""), 413),
    bad("declared too large, with Expect", post(b"Content-Length: 1000000", b"Expect: 100-continue", body=b""), 413),
    bad("too large for the route", post(b"Content-Length: 65", body=b"", path=b"/v1/small"), 413),
]

END = b"0\r\n\r\n"
TRANSFER_ENCODINGS = [
    served("chunked", chunked(whole_chunk(SAMPLE) + END)),
    served("Chunked", post(b"Transfer-Encoding: Chunked", body=whole_chunk(SAMPLE) + END)),
    bad("with Content-Length", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=END)),
    bad("before Content-Length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=END)),
    bad("with Content-Length: 0", post(b"Transfer-Encoding: chunked", b"Content-Length: 0", body=END)),
    bad("chunked not last", post(b"Transfer-Encoding: chunked, gzip", body=END)),
    bad("repeated", post(b"Transfer-Encoding: chunked, chunked", body=END)),
    bad("repeated field", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=END)),
    bad("second field", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=END)),
    bad("identity", post(b"Transfer-Encoding: identity", body=b"")),
    bad("empty", post(b"Transfer-Encoding:", body=b"")),
    bad("comma", post(b"Transfer-Encoding: chunked,", body=END)),
    bad("vertical TAB", post(b"Transfer-Encoding: \x0bchunked", body=END)),
    bad("space before the colon", post(b"Transfer-Encoding : chunked", body=END)),
    bad("in HTTP/1.0", post(b"Transfer-Encoding: chunked", body=END, version=b"HTTP/1.0")),
    bad("unknown coding", post(b"Transfer-Encoding: xchunked", body=END), 501),
    bad("gzip", post(b"Transfer-Encoding: gzip", body=b""), 501),
    bad("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", body=END), 501),
]

CHUNKS = [
    served("two, with an extension", chunked(b"6;a=b\r\n" + SAMPLE[:6] + b"\r\n6\r\n" + SAMPLE[6:] + b"\r\n" + END)),
    bad("0x", chunked(b"0xc\r\n" + SAMPLE + b"\r\n" + END)),
    bad("plus", chunked(b"+c\r\n" + SAMPLE + b"\r\n" + END)),
    bad("minus", chunked(b"-c\r\n" + SAMPLE + b"\r\n" + END)),
    bad("space before", chunked(b" c\r\n" + SAMPLE + b"\r\n" + END)),
    bad("space after", chunked(b"c \r\n" + SAMPLE + b"\r\n" + END)),
    bad("underscore", chunked(b"_c\r\n" + SAMPLE + b"\r\n" + END)),
    bad("empty", chunked(b"\r\n" + SAMPLE + b"\r\n" + END)),
    bad("overflow", chunked(b"1000000000000000c\r\n" + SAMPLE + b"\r\n" + END)),
    bad("LF alone", chunked(b"c\n" + SAMPLE + b"\n0\n\n")),
    bad("LF alone after the data", chunked(b"c\r\n" + SAMPLE + b"\n" + END)),
    bad("missing CRLF", chunked(b"c\r\n" + SAMPLE + END)),
    bad("longer than said", chunked(b"b\r\n" + SAMPLE + b"\r\n" + END)),
    bad("extension with CR", chunked(b"c;a\rb\r\n" + SAMPLE + b"\r\n" + END)),
    bad("extension with LF", chunked(b"c;a\nb\r\n" + SAMPLE + b"\r\n" + END)),
    bad("extension flood in one", chunked(b"c;" + b"a" * 9000 + b"\r\n" + SAMPLE + b"\r\n" + END)),
    bad("extension flood in many", chunked(b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n \r\n" * 300 + END)),
    bad("over the body cap at once", chunked(b"ffffff\r\n"), 413),
    bad("over the body cap in sum", chunked(whole_chunk(b" " * 15000) * 2 + END), 413),
    bad("trailer without colon", chunked(whole_chunk(SAMPLE) + b"0\r\nA\r\n\r\n")),
    bad("a request where a trailer is due", chunked(whole_chunk(SAMPLE) + b"0\r\n" + FOLLOWER)),
    bad("trailer flood", chunked(whole_chunk(SAMPLE) + b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n"), 431),
    served("trailers", chunked(whole_chunk(SAMPLE) + b"0\r\nAuthorization: a\r\nContent-Length: 99\r\n"
                               b"Transfer-Encoding: x\r\nHost: b\r\nHost: c\r\n\r\n")),
]

EXPECTATIONS = [
    answered("unknown", get(b"Expect: 200-ok"), 417),
    bad("unknown, with a body", post(length_of(SAMPLE), b"Expect: 200-ok"), 417),
    served("without a body", get(b"Expect: 100-continue")),
    Case("in HTTP/1.0", b"POST /v1/echo HTTP/1.0\r\n" + JSON + b"Expect: 100-continue\r\nContent-Length: 12\r\n\r\n"
         + SAMPLE, 200, CLOSED, executed=1),
    Case("unknown in HTTP/1.0", b"GET /v1/items/1 HTTP/1.0\r\nExpect: x\r\n\r\n", 200, CLOSED, executed=1),
]

OTHER_PROTOCOLS = [
    bad("TLS hello", bytes.fromhex("16030100f8010000f40303") + bytes(range(200)), silent=True),
    bad("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", (400, 505), silent=True),
    bad("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", silent=True),
    bad("Redis", b"*1\r\n$4\r\nPING\r\n", (400, 501), silent=True),
    bad("zeros", b"\0" * 100, silent=True),
    bad("high bytes", b"\xff\xfe\xfd" * 30, silent=True),
    bad("a line of garbage", b"hello, is anybody there?\r\n", silent=True),
]

WITHOUT_CONTENT = [
    served("HEAD", line(b"HEAD /v1/items/1 HTTP/1.1"), method="HEAD", headers={"content-length": "10"}),
    answered("HEAD, 404", line(b"HEAD /nothing HTTP/1.1"), 404, method="HEAD"),
    answered("HEAD, 405", line(b"HEAD /v1/echo HTTP/1.1"), 405, method="HEAD", headers={"allow": "POST"}),
    answered("HEAD, refused target", line(b"HEAD /%zz HTTP/1.1"), 400, method="HEAD"),
    served("204", line(b"DELETE /v1/items/1 HTTP/1.1"), 204, headers={"content-length": None}),
    served("304", line(b"GET /v1/unchanged HTTP/1.1"), 304, headers={"etag": '"1"'}),
]

MEDIA = [
    answered("type missing", b"POST /v1/echo HTTP/1.1\r\n" + HOST + b"Content-Length: 12\r\n\r\n" + SAMPLE, 415),
    answered("type wrong", b"POST /v1/echo HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\n"
             b"Content-Length: 12\r\n\r\n" + SAMPLE, 415),
    answered("UTF-16", b"POST /v1/echo HTTP/1.1\r\n" + HOST + b"Content-Type: application/json; charset=utf-16\r\n"
             b"Content-Length: 12\r\n\r\n" + SAMPLE, 415),
    answered("multipart", b"POST /v1/echo HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=a\r\n"
             b"Content-Length: 12\r\n\r\n" + SAMPLE, 415),
    answered("Content-Encoding", post(length_of(SAMPLE), b"Content-Encoding: gzip"), 415,
             headers={"accept-encoding": ".+"}),
    answered("body where none is taken", post(length_of(SAMPLE), path=b"/v1/hits"), 415),
    answered("chunked body where none is taken",
             post(b"Transfer-Encoding: chunked", path=b"/v1/hits", body=whole_chunk(SAMPLE) + END), 415),
    served("length 0 where none is taken", post(b"Content-Length: 0", path=b"/v1/hits", body=b""), 201),
    answered("empty body", post(b"Content-Length: 0", body=b""), 400),
    answered("no body", post(body=b""), 400),
]


def with_json(text):
    data = text if isinstance(text, bytes) else text.encode()
    return post(length_of(data), body=data)


BODIES = [
    answered("blank", with_json("  "), 400),
    answered("BOM", with_json(b'\xef\xbb\xbf{"text":"a"}'), 400),
    answered("UTF-16", with_json('{"text":"a"}'.encode("utf-16")), 400),
    answered("65 deep", with_json('{"text":"a","extra":' + "[" * 64 + "]" * 64 + "}"), 400),
    answered("very deep", with_json("[" * 9000), 400),
    answered("duplicate key", with_json('{"text":"a","text":"b"}'), 400),
    answered("lone surrogate", with_json('{"text":"\\ud800"}'), 400),
    answered("bad UTF-8", with_json(b'{"text":"\xc0\xaf"}'), 400),
    answered("NaN", with_json('{"text":"a","real":NaN}'), 400),
    answered("Infinity", with_json('{"text":"a","real":Infinity}'), 400),
    answered("comment", with_json('{"text":"a"}/**/'), 400),
    answered("trailing data", with_json('{"text":"a"}{}'), 400),
    answered("trailing comma", with_json('{"text":"a",}'), 400),
    answered("single quotes", with_json("{'text':'a'}"), 400),
    answered("cut", with_json('{"text":"a"'), 400),
    served("64 deep", with_json('{"text":"a","extra":' + "[" * 63 + "]" * 63 + "}")),
]

# name, body, the pointer that the answer must name
MISFITS = [
    ("missing", '{}', "/text"),
    ("unknown", '{"text":"a","other":1}', "/other"),
    ("type", '{"text":1}', "/text"),
    ("null", '{"text":null}', "/text"),
    ("range", '{"text":"a","small":101}', "/small"),
    ("integer overflow", '{"text":"a","large":9223372036854775808}', "/large"),
    ("fraction", '{"text":"a","small":1.5}', "/small"),
    ("enum", '{"text":"a","colour":"blue"}', "/colour"),
    ("format", '{"text":"a","email":"nobody"}', "/email"),
    ("uuid", '{"text":"a","id":"123"}', "/id"),
    ("time", '{"text":"a","at":"2026-02-30T00:00:00Z"}', "/at"),
    ("too many", '{"text":"a","tags":["1","2","3","4"]}', "/tags"),
    ("nested", '{"text":"a","part":{"name":"012345678901234567890"}}', "/part/name"),
    ("in an array", '{"text":"a","parts":[{"name":"a"},{"count":1}]}', "/parts/1/name"),
    ("U+0000", '{"text":"a\\u0000b"}', "/text"),
    ("not an object", '[]', ""),
]


class TableTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.app = App(binary("test_app"), cls.services, WEB_CONCURRENCY=1, MAX_BODY=MAX_BODY, DATABASE_TIMEOUT="2s",
                      LOG_LEVEL="warning")
        cls.addClassCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.app.start()
        cls.counter = cls.app.connect(seconds=600)
        cls.addClassCleanup(cls.counter.close)

    def executed(self):
        """How many handlers have run."""
        self.counter.send(b"GET /v1/hits HTTP/1.1\r\nHost: a\r\n\r\n")
        return self.counter.read_response().json()["count"]

    def check_response(self, case, response):
        self.assertIn(response.status, case.statuses, response)
        for name, pattern in case.headers.items():
            if pattern is None:
                self.assertNotIn(name, response.headers)
            else:
                self.assertRegex(response.headers.get(name, ""), f"^{pattern}$", response)
        if case.closes:
            self.assertEqual(response.headers.get("connection"), "close", response)
        else:
            self.assertNotEqual(response.headers.get("connection"), "close", response)
        self.assertTrue(response.headers.get("x-request-id"), response)
        if response.status >= 400:
            self.check_problem(case, response)

    def check_problem(self, case, response):
        """RFC 9457, and nothing of our insides."""
        self.assertEqual(response.headers.get("content-type"), "application/problem+json", response)
        self.assertNotIn("server", response.headers)
        if case.method == "HEAD":
            return
        problem = response.json()
        self.assertEqual(problem["status"], response.status)
        self.assertTrue(problem["type"] and problem["title"], response)
        self.assertIsNone(re.search(r"\.[ch]\b|errno|E[A-Z]{4,}|0x[0-9a-f]{6}", response.body.decode()), response)

    def check_first(self, case, connection):
        try:
            response = connection.read_response(case.method)
        except Ended:
            if not case.silent:
                raise
            return
        self.check_response(case, response)

    def send_whole(self, case):
        with self.app.connect() as connection:
            connection.send(case.data)
            self.check_first(case, connection)
            if case.closes:
                self.assertTrue(connection.is_ended(), connection.received)

    def send_split(self, case):
        # A few large ones would be many thousand packets: then only the ends come in single bytes.
        with self.app.connect() as connection:
            if len(case.data) <= 1000:
                connection.send_split(case.data)
            else:
                connection.send_split(case.data[:100])
                connection.send_split(case.data[100:-100], 997)
                connection.send_split(case.data[-100:])
            self.check_first(case, connection)
            if case.closes:
                self.assertTrue(connection.is_ended(), connection.received)

    def send_with_follower(self, case):
        with self.app.connect() as connection:
            connection.send(case.data + FOLLOWER)
            self.check_first(case, connection)
            if case.closes:
                self.assertTrue(connection.is_ended(), connection.received)
                return 0
            follower = connection.read_response()
            self.assertEqual(follower.status, 201, follower)
            return 1

    def run_case(self, case):
        before = self.executed()
        self.send_whole(case)
        self.assertEqual(self.executed() - before, case.executed, "executed, sent whole")
        self.send_split(case)
        self.assertEqual(self.executed() - before, 2 * case.executed, "executed, sent byte by byte")
        follower = self.send_with_follower(case)
        self.assertEqual(self.executed() - before, 3 * case.executed + follower, "executed, with a request behind")

    def run_cases(self, cases):
        for case in cases:
            with self.subTest(case.name):
                self.run_case(case)

    def test_request_line(self):
        self.run_cases(REQUEST_LINES)

    def test_versions(self):
        self.run_cases(VERSIONS)

    def test_methods(self):
        self.run_cases(METHODS)

    def test_targets(self):
        self.run_cases(TARGETS)

    def test_hosts(self):
        self.run_cases(HOSTS)

    def test_fields(self):
        self.run_cases(FIELDS)

    def test_limits(self):
        self.run_cases(LIMITS)

    def test_content_length(self):
        self.run_cases(CONTENT_LENGTHS)

    def test_transfer_encoding(self):
        self.run_cases(TRANSFER_ENCODINGS)

    def test_chunks(self):
        self.run_cases(CHUNKS)

    def test_expect(self):
        self.run_cases(EXPECTATIONS)

    def test_other_protocols(self):
        self.run_cases(OTHER_PROTOCOLS)

    def test_without_content(self):
        self.run_cases(WITHOUT_CONTENT)

    def test_media_types(self):
        self.run_cases(MEDIA)

    def test_json(self):
        self.run_cases(BODIES)

    def test_schema(self):
        for name, body, pointer in MISFITS:
            with self.subTest(name):
                self.run_case(answered(name, with_json(body), 422))
                errors = self.app.post("/v1/echo", body.encode()).json()["errors"]
                self.assertIn(pointer, [error["pointer"] for error in errors])

    def test_schema_reports_all_at_once(self):
        errors = self.app.post("/v1/echo", {"small": 1000, "colour": "blue", "other": 1}).json()["errors"]
        self.assertEqual({error["pointer"] for error in errors}, {"/text", "/small", "/colour", "/other"})
        self.assertTrue(all(error["code"] and error["detail"] for error in errors))

    @unittest.skipUnless("PRONG_TEST_CORPORA" in os.environ, "PRONG_TEST_CORPORA names no folder")
    def test_json_corpus(self):
        """JSONTestSuite: n_ is malformed, y_ well-formed, i_ either; what is well-formed does not fit the schema."""
        files = sorted(pathlib.Path(os.environ["PRONG_TEST_CORPORA"], "json", "test_parsing").glob("*.json"))
        self.assertGreater(len(files), 0)
        for file in files:
            body = file.read_bytes()
            with self.subTest(file.name), self.app.connect() as connection:
                if len(body) > MAX_BODY:
                    expected = (413,)
                elif file.name in ("y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"):
                    expected = (400,)  # RFC 7493
                else:
                    expected = {"n": (400,), "y": (422,), "i": (400, 422)}[file.name[0]]
                connection.send(with_json(body))
                self.assertIn(connection.read_response().status, expected)

    def test_every_kind_comes_back(self):
        sample = {
            "flag": True, "small": -100, "large": 9007199254740993, "real": 0.1, "colour": "green",
            "email": "ada@a.example", "text": "naïve \"\\/\u2028 'DROP TABLE\n", "id": "018f4e2a-1b2c-7def-8000-000000000001",
            "at": "2026-01-31T23:59:59.123456Z", "extra": {"a": [1, None, {"b": "c"}]},
            "part": {"name": "p", "count": 3}, "tags": ["x", ""],
            "parts": [{"name": "1", "count": 1}, {"name": "2", "count": 2}], "maybe_flag": False, "maybe_small": 0,
            "maybe_large": -9223372036854775808, "maybe_real": -1.5e300,
            "maybe_id": "00000000-0000-0000-0000-000000000000", "maybe_at": "1969-12-31T23:59:59Z"}
        response = self.app.post("/v1/echo", sample | {"password": "secret"})
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.json(), sample)
        self.assertEqual(response.headers["content-type"], "application/json")

    def test_naughty_strings(self):
        """Kept verbatim, or refused as what they are; never a 5xx."""
        for text in ("' OR 1=1 --", "<script>alert(1)</script>", "{{7*7}}", "../../etc/passwd", "%00%n%s",
                     "\u202e\ufeff", "😀" * 100, "\x7f\x01", "null", "a" * 10000, "Ω≈ç√∫", "\\u0000", "; rm -rf /"):
            with self.subTest(text[:20]):
                response = self.app.post("/v1/echo", {"text": text})
                self.assertEqual((response.status, response.json().get("text")), (200, text))

    def test_query_strings(self):
        for query, status in (("ms=0", 200), ("ms=1&ms=2", 400), ("ms=1.5", 400), ("ms=x", 400), ("", 400),
                              ("ms=", 400), ("ms=99999999999999999999", 400), ("ms=60001", 400), ("ms=-1", 400),
                              ("ms=1&limit=2", 400), ("ms=%zz", 400), ("ms=+1", 400), ("ms=1%00", 400)):
            with self.subTest(query):
                response = self.app.get(f"/v1/slow?{query}")
                self.assertEqual(response.status, status, response)

    def test_tokens(self):
        for name, headers, statuses in (
                ("none", {}, (401,)), ("wrong scheme", {"Authorization": "Basic YTpi"}, (400, 401)),
                ("empty", {"Authorization": "Bearer "}, (400, 401)),
                ("twice", {"Authorization": "Bearer a", "authorization": "Bearer b"}, (400, 401)),
                ("no JWT", {"Authorization": "Bearer abc"}, (401,)),
                ("alg none", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, (401,)),
                ("overlong", {"Authorization": "Bearer " + "a" * 9000}, (401,))):
            with self.subTest(name):
                response = self.app.get("/v1/private", headers=headers)
                self.assertIn(response.status, statuses, response)
                if response.status == 401:
                    self.assertTrue(response.headers["www-authenticate"].startswith("Bearer"), response)
        self.assertEqual(self.app.get("/v1/private?access_token=a").status, 401)

    def test_failures_of_handlers(self):
        self.assertEqual(self.app.get("/v1/fail").json()["code"], "taken")
        response = self.app.get("/v1/broken")
        self.assertEqual(response.status, 500)
        self.assertNotIn(b"secret_of_ours", response.body)
        self.assertNotIn(b"nowhere", response.body)
        response = self.app.get("/v1/late?ms=20000")
        self.assertEqual(response.status, 504, response)

    def test_expect_continue(self):
        """100 comes when the body is awaited, and only then."""
        with self.app.connect() as connection:
            connection.send(post(length_of(SAMPLE), b"Expect: 100-continue", body=b""))
            self.assertEqual(connection.read_response().status, 100)
            connection.send(SAMPLE + FOLLOWER)
            self.assertEqual(connection.read_response().status, 200)
            self.assertEqual(connection.read_response().status, 201)
        for data, status in ((post(b"Content-Length: 1000000", b"Expect: 100-continue", body=b""), 413),
                             (post(b"Content-Length: 12", b"Expect: 100-continue", body=b"", path=b"/nothing"), 404),
                             (post(b"Content-Length: 12", b"Expect: 100-continue", body=b"", path=b"/v1/hits"), 415)):
            with self.app.connect() as connection:
                connection.send(data)
                self.assertEqual(connection.read_response().status, status)
                self.assertTrue(connection.is_ended())

    def test_end_in_a_request(self):
        """A request that is cut anywhere is not executed, by an end or by a reset."""
        requests = (get(), post(length_of(SAMPLE)), chunked(whole_chunk(SAMPLE) + END))
        before = self.executed()
        for request in requests:
            for size in range(0, len(request), 7):
                for end in ("end", "reset"):
                    with self.app.connect() as connection:
                        connection.send(request[:size])
                        if end == "reset":
                            connection.reset()
                            continue
                        connection.end()
                        with self.assertRaises(Ended):
                            self.fail(connection.read_response())
        self.assertEqual(self.executed(), before)

    def test_half_close(self):
        """A client that says it will send no more still reads its answers."""
        with self.app.connect() as connection:
            connection.send(get() + FOLLOWER)
            connection.end()
            self.assertEqual(connection.read_response().status, 200)
            self.assertEqual(connection.read_response().status, 201)
            self.assertTrue(connection.is_ended())

    def test_pipeline(self):
        """Many requests at once, slow and fast ones mixed, are answered in their order."""
        count = 300
        before = self.executed()
        with self.app.connect() as connection:
            for number in range(count):
                if number % 100 == 50:
                    connection.send(line(b"GET /v1/slow?ms=50 HTTP/1.1"))
                connection.send(line(b"GET /v1/items/%d HTTP/1.1" % number))
            for number in range(count):
                if number % 100 == 50:
                    self.assertEqual(connection.read_response().json(), {"ok": True})
                self.assertEqual(connection.read_response().json(), {"id": str(number)})
        self.assertEqual(self.executed() - before, count + 3)

    def test_pipeline_good_bad_good(self):
        bads = (b"GET / HTTP/1.1\nHost: a\n\n", get(b"A : b"),
                post(b"Content-Length: 1", b"Transfer-Encoding: chunked"), chunked(b"x\r\n"), host(b"a, b"))
        for bad_one in bads:
            for first in (b"/v1/items/1", b"/v1/slow?ms=50"):
                with self.subTest(bad_one[:60]), self.app.connect() as connection:
                    before = self.executed()
                    connection.send(line(b"GET " + first + b" HTTP/1.1") + bad_one + FOLLOWER * 3)
                    self.assertEqual(connection.read_response().status, 200)
                    self.assertEqual(connection.read_response().status, 400)
                    self.assertTrue(connection.is_ended(), connection.received)
                    self.assertEqual(self.executed() - before, 1)

    def test_refused_body_is_skipped(self):
        """A body that nobody reads does not become the next request."""
        inner = b"POST /v1/hits HTTP/1.1\r\nHost: a\r\n\r\n"
        before = self.executed()
        for path in (b"/nothing", b"/v1/hits", b"/v1/items/1"):
            with self.app.connect() as connection:
                connection.send(post(length_of(inner), body=inner, path=path) + FOLLOWER)
                self.assertGreaterEqual(connection.read_response().status, 400)
                self.assertEqual(connection.read_response().status, 201)
        self.assertEqual(self.executed() - before, 3)

    def test_large_bodies(self):
        text = "a" * (MAX_BODY - len('{"text":""}'))
        body = b'{"text":"%s"}' % text.encode()
        for request in (post(length_of(body), body=body), chunked(whole_chunk(body) + END),
                        chunked(b"".join(whole_chunk(body[i:i + 100]) for i in range(0, len(body), 100)) + END)):
            with self.app.connect() as connection:
                connection.send_split(request + FOLLOWER, 1000)
                response = connection.read_response()
                self.assertEqual((response.status, response.json().get("text")), (200, text))
                self.assertEqual(connection.read_response().status, 201)

    def test_large_replies(self):
        """More than any socket's buffer holds, and pipelined."""
        size = 5_000_000
        with self.app.connect() as connection:
            connection.send(line(b"GET /v1/large?bytes=%d HTTP/1.1" % size) * 2 + FOLLOWER)
            for _ in range(2):
                body = connection.read_response().body
                self.assertEqual(len(body), size)
                self.assertEqual(body[:52], b"abcdefghijklmnopqrstuvwxyz" * 2)
            self.assertEqual(connection.read_response().status, 201)

    def test_client_goes_while_waiting(self):
        """Clients that vanish in mid-request cost nobody else anything."""
        for end in ("end", "reset"):
            with self.app.connect() as connection:
                connection.send(line(b"GET /v1/slow?ms=20000 HTTP/1.1"))
                getattr(connection, end)()
        self.assertEqual(self.app.get("/v1/slow?ms=1").status, 200)
        self.assertEqual(self.app.get("/v1/ping").json(), {"ok": True})

    def test_request_ids(self):
        given = self.app.get("/v1/ping", headers={"X-Request-Id": "abc-123"}).headers["x-request-id"]
        self.assertEqual(given, "abc-123")
        for forged in ("a b", "a" * 100, '"', "<a>"):
            made = self.app.get("/v1/ping", headers={"X-Request-Id": forged}).headers["x-request-id"]
            self.assertRegex(made, "^[0-9a-f]{32}$")


class DeadlineTest(unittest.TestCase):
    """Deadlines are absolute: whoever sends a little all the time is too slow all the same."""

    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.app = App(binary("test_app"), cls.services, WEB_CONCURRENCY=1, HEAD_TIMEOUT="1s", IDLE_TIMEOUT="1s",
                      LOG_LEVEL="warning")
        cls.addClassCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.app.start()

    def drip(self, connection, start, drop):
        """Sends `start`, then `drop` again and again until the server has had enough; returns its answer."""
        connection.send(start)
        connection.socket.settimeout(0.05)
        while True:
            try:
                connection.received += connection.socket.recv(65536)
                break
            except TimeoutError:
                self.assertLess(len(start), 10000, "the server waits for ever")
                start += drop
                if not connection.send(drop):
                    break
        return connection.read_response()

    def test_slow_head(self):
        for start in (b"GET /v1/items/1 HTTP/1.1\r\n" + HOST + b"A: ", b"G", b"\r\nGET /"):
            with self.subTest(start), self.app.connect() as connection:
                response = self.drip(connection, start, b"a")
                self.assertEqual(response.status, 408, response)
                self.assertTrue(connection.is_ended())

    def test_silent_head(self):
        with self.app.connect() as connection:
            connection.send(b"GET /v1/items/1 HTTP/1.1\r\n")
            self.assertEqual(connection.read_response().status, 408)
            self.assertTrue(connection.is_ended())

    def test_slow_body(self):
        for start, drop in ((post(b"Content-Length: 100000", body=b"{"), b" "),
                            (chunked(b"ffff\r\n{"), b" "), (chunked(b""), b"1\r\n \r\n")):
            with self.subTest(start[-30:]), self.app.connect() as connection:
                self.assertEqual(self.drip(connection, start, drop).status, 408)
                self.assertTrue(connection.is_ended())

    def test_idle(self):
        """An idle connection is closed without a word, whether it was used before or not."""
        with self.app.connect() as connection:
            self.assertTrue(connection.is_ended())
        with self.app.connect() as connection:
            connection.send(get())
            self.assertEqual(connection.read_response().status, 200)
            self.assertTrue(connection.is_ended())

    def test_slow_reader(self):
        """A client that does not take its reply loses it; nobody waits for it."""
        with self.app.connect(seconds=60) as connection:
            connection.send(line(b"GET /v1/large?bytes=50000000 HTTP/1.1"))
            # Meanwhile the server's clock passes the time it gives anybody, several times.
            for _ in range(4):
                with self.app.connect() as other:
                    self.assertTrue(other.is_ended())
            with self.assertRaises(Ended):
                connection.read_response()


if __name__ == "__main__":
    unittest.main()
