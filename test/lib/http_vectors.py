# SPDX-License-Identifier: MIT
"""Requests to the HTTP proxy, and what becomes of each: a table.

%AT% stands for 127.0.0.1:PORT of the origin, %PORT% for its port. want is the
status of the proxy's own refusal, or a Pass: what the origin must receive."""
import dataclasses


@dataclasses.dataclass
class Pass:
    line: bytes = b"GET / HTTP/1.1"
    body: bytes = b""
    has: tuple = ()      # lines of fields
    hasnt: tuple = ()    # names of fields, in lower case
    trailer: tuple = ()  # all lines of the trailer section
    host: bytes = b"%AT%"


@dataclasses.dataclass
class Own:
    """Answered by the proxy itself."""
    status: int


@dataclasses.dataclass
class Tunnel:
    """CONNECT is granted."""


@dataclasses.dataclass
class Vector:
    name: str
    data: bytes
    want: object
    fin: bool = False  # half-close behind it
    strange: tuple = ()  # peers that have rules of their own about it


VECTORS = []
HOST = b"Host: %AT%\r\n"
OK = Pass()


def add(name, data, want, **kw):
    VECTORS.append(Vector(name, data, want, **kw))


def lines(fields):
    return b"".join(f + b"\r\n" for f in fields)


def get(name, *fields, want=OK, **kw):
    add(name, b"GET http://%AT%/ HTTP/1.1\r\n" + HOST + lines(fields) +
        b"\r\n", want, **kw)


def post(name, *fields, body=b"hello", want=400, **kw):
    add(name, b"POST http://%AT%/ HTTP/1.1\r\n" + HOST + lines(fields) +
        b"\r\n" + body, want, **kw)


def first(name, line, want=400, **kw):
    add(name, line + b"\r\n" + HOST + b"\r\n", want, **kw)


def target(name, uri, want=400, **kw):
    first("target: " + name, b"GET " + uri + b" HTTP/1.1", want, **kw)


def posted(body=b"hello", **kw):
    return Pass(b"POST / HTTP/1.1", body, **kw)


def chunks(name, body, want=400, **kw):
    post("chunks: " + name, b"Transfer-Encoding: chunked", body=body,
         want=want, **kw)


def lengths():
    def length(name, value, want=400, **kw):
        post("length: " + name, b"Content-Length: " + value, want=want, **kw)

    measured = posted(has=(b"Content-Length: 5",))
    length("good", b"5", measured)
    length("blanks around", b" \t5 \t", measured)
    length("leading zeros", b"0005", measured)
    for value in (b"+5", b"-1", b"-5", b"0x5", b"5x", b"5 5", b"5,5", b"5, 5",
                  b"5,6", b"5,", b",5", b"", b" ", b"5.0", b"5;", b"5e0",
                  b"'5'", b'"5"', b"five", b"\xd9\xa5", b"5\x0b", b"\x0c5",
                  b"5\x00", b"5\r", b"5\n", b"1_0"):
        length(repr(value), value)
    for value in (b"18446744073709551616", b"18446744073709551621",
                  b"9223372036854775808", b"9" * 100):
        length(f"{value[:30]} is too much", value, 413)
    post("length: same twice", b"Content-Length: 5", b"Content-Length: 5")
    post("length: two", b"Content-Length: 5", b"Content-Length: 6")
    post("length: two, other case", b"Content-Length: 5",
         b"CONTENT-LENGTH: 4")
    post("length: 0 and 5", b"Content-Length: 0", b"Content-Length: 5")
    get("length: 0 of GET", b"Content-Length: 0")
    add("length: GET with a body", b"GET http://%AT%/ HTTP/1.1\r\n" + HOST +
        b"Content-Length: 5\r\n\r\nhello", Pass(body=b"hello"))
    post("length: none of POST", body=b"",
         want=Pass(b"POST / HTTP/1.1", hasnt=("transfer-encoding",)))
    post("length: too little comes", b"Content-Length: 6", fin=True)
    post("length: blank before the colon", b"Content-Length : 5")
    post("length: folded", b"Content-Length:\r\n 5")


def codings():
    good = b"5\r\nhello\r\n0\r\n\r\n"
    coded = posted(has=(b"Transfer-Encoding: chunked",))

    def coding(name, *fields, want=400, **kw):
        post("coding: " + name, *fields, body=good, want=want, **kw)

    for value in (b"chunked", b"Chunked", b"CHUNKED", b" chunked\t",
                  b"\tchunked "):
        coding(repr(value), b"Transfer-Encoding: " + value, want=coded)
    coding("no blank", b"Transfer-Encoding:chunked", want=coded)
    coding("name in other case", b"tRANSFER-eNCODING: chunked", want=coded)
    for value in (b"chunked, chunked", b"chunked,chunked", b"gzip, chunked",
                  b"chunked, gzip", b"gzip", b"identity", b"chunked, identity",
                  b"identity, chunked", b"xchunked", b"chunkedx", b"chunke",
                  b"chunked;q=1", b"chunked;", b"chunked,", b",chunked",
                  b"", b" ", b'"chunked"', b"'chunked'", b"chunked\x0b",
                  b"\x0bchunked", b"\x0cchunked", b"chunked\x00",
                  b"\x00chunked", b"chun\xebked", b"chunked chunked",
                  b"x chunked", b"\xa0chunked", b"chunked\r\n chunked",
                  b"chunked\rX: y", b"chunked\nX: y", b"*", b"trailers"):
        coding(repr(value), b"Transfer-Encoding: " + value)
    coding("twice", b"Transfer-Encoding: chunked",
           b"Transfer-Encoding: chunked")
    coding("chunked and identity", b"Transfer-Encoding: chunked",
           b"Transfer-Encoding: identity")
    coding("identity and chunked", b"Transfer-Encoding: identity",
           b"Transfer-Encoding: chunked")
    coding("an empty one and chunked", b"Transfer-Encoding:",
           b"Transfer-Encoding: chunked")
    coding("and a length", b"Transfer-Encoding: chunked", b"Content-Length: 5")
    coding("a length and", b"Content-Length: 5", b"Transfer-Encoding: chunked")
    coding("and length 0", b"Content-Length: 0", b"Transfer-Encoding: chunked")
    coding("identity and a length", b"Content-Length: 5",
           b"Transfer-Encoding: identity")
    coding("blank before the colon", b"Transfer-Encoding : chunked")
    coding("tab before the colon", b"Transfer-Encoding\t: chunked")
    coding("folded", b"Transfer-Encoding:\r\n chunked")
    coding("blank before the name", b" Transfer-Encoding: chunked")
    coding("hidden behind a fold", b"X: y\r\n Transfer-Encoding: chunked")
    coding("control in the name", b"Transfer-Encoding\x00: chunked")
    add("coding: in HTTP/1.0", b"POST http://%AT%/ HTTP/1.0\r\n" + HOST +
        b"Transfer-Encoding: chunked\r\n\r\n" + good, 400)
    post("coding: a name that only looks like it",
         b"Transfer_Encoding: chunked", b"Content-Length: 5",
         want=posted(has=(b"Transfer_Encoding: chunked",)))
    add("coding: GET with chunks", b"GET http://%AT%/ HTTP/1.1\r\n" + HOST +
        b"Transfer-Encoding: chunked\r\n\r\n" + good, Pass(body=b"hello"))


def field_lines():
    for c in b'()<>@,;\\"/[]?={} \t\x00\x01\x0b\x0c\x7f\x80\xff':
        c = bytes([c])
        get(f"name: {c!r} in it", b"X" + c + b"Y: z", want=400)
    get("name: empty", b": z", want=400)
    get("name: all there is", b"!#$%&'*+-.^_`|~09azAZ: z",
        want=Pass(has=(b"!#$%&'*+-.^_`|~09azAZ: z",)))
    get("name: no colon", b"X", want=400)
    get("name: blank behind it", b"X : z", want=400)
    get("name: blank before it", b" X: z", want=400)
    get("value: two colons", b"X:: z", want=Pass(has=(b"X: : z",)))
    get("value: empty", b"X:", want=Pass(has=(b"X: ",)))
    get("value: blanks", b"X: \t a \t b \t ", want=Pass(has=(b"X: a \t b",)))
    get("value: above 0x7f", b"X: \x80\xc3\xa9\xff",
        want=Pass(has=(b"X: \x80\xc3\xa9\xff",)))
    for c in b"\x00\x01\x07\x08\x0b\x0c\x1b\x1f\x7f":
        get(f"value: {bytes([c])!r} in it", b"X: a" + bytes([c]) + b"b",
            want=400)
    get("fold", b"X: a", b" b", want=400)
    get("fold with a tab", b"X: a", b"\tb", want=400)
    get("fold of blanks only", b"X: a", b" ", want=400)
    add("fold of the request line", b"GET http://%AT%/ HTTP/1.1\r\n "
        b"X: y\r\n" + HOST + b"\r\n", 400)
    get("same name twice", b"X: a", b"X: b",
        want=Pass(has=(b"X: a", b"X: b")))


def line_ends():
    line = b"GET http://%AT%/ HTTP/1.1"
    host = b"Host: %AT%"
    for name, data in (
            ("LF behind the request line", line + b"\n" + host + b"\r\n\r\n"),
            ("LF behind a field", line + b"\r\n" + host + b"\n\r\n"),
            ("LF as the empty line", line + b"\r\n" + host + b"\r\n\n"),
            ("LF everywhere", line + b"\n" + host + b"\n\n"),
            ("LF LF behind a field", line + b"\r\n" + host + b"\n\n\r\n"),
            ("LF in a value", line + b"\r\nX: a\nY: b\r\n" + host +
             b"\r\n\r\n"),
            ("LF before the request", b"\n" + line + b"\r\n" + host +
             b"\r\n\r\n"),
            ("LF in the target", b"GET http://%AT%/\nX HTTP/1.1\r\n" + host +
             b"\r\n\r\n"),
            ("CR behind the request line", line + b"\r" + host + b"\r\n\r\n"),
            ("CR behind a field", line + b"\r\n" + host + b"\rX: y\r\n\r\n"),
            ("CR in a value", line + b"\r\n" + host + b"\r\nX: a\rb\r\n\r\n"),
            ("CR in a name", line + b"\r\n" + host + b"\r\nX\rY: a\r\n\r\n"),
            ("CR CR LF", line + b"\r\r\n" + host + b"\r\n\r\n"),
            ("CR CR LF behind a field", line + b"\r\n" + host +
             b"\r\r\n\r\n"),
            ("CR X as the empty line", line + b"\r\n" + host +
             b"\r\n\rX\r\n\r\n"),
            ("CR in the target", b"GET http://%AT%/\rX HTTP/1.1\r\n" + host +
             b"\r\n\r\n"),
            ("CR before the request", b"\r" + line + b"\r\n" + host +
             b"\r\n\r\n"),
            ("NUL before the request", b"\0" + line + b"\r\n" + host +
             b"\r\n\r\n"),
            ("NUL in the method", b"G\0ET http://%AT%/ HTTP/1.1\r\n\r\n"),
            ("NUL in the target", b"GET http://%AT%/\0 HTTP/1.1\r\n\r\n"),
            ("NUL in the host", b"GET http://%AT%\0/ HTTP/1.1\r\n\r\n"),
            ("NUL behind the version", line + b"\0\r\n" + host + b"\r\n\r\n"),
            ("NUL in the Host", line + b"\r\nHost: a\0b\r\n\r\n"),
            ("NUL behind a field", line + b"\r\n" + host + b"\0\r\n\r\n")):
        add("ends: " + name, data, 400)


def request_lines():
    good = b"GET http://%AT%/ HTTP/1.1"
    for n, want in ((1, OK), (2, OK), (4, OK), (5, 400), (50, 400)):
        first(f"line: {n} empty ones before", b"\r\n" * n + good, want)
    for name, line in (
            ("blank before", b" " + good),
            ("two blanks behind the method", b"GET  http://%AT%/ HTTP/1.1"),
            ("two blanks before the version", b"GET http://%AT%/  HTTP/1.1"),
            ("blank behind", good + b" "),
            ("tab behind the method", b"GET\thttp://%AT%/ HTTP/1.1"),
            ("tab before the version", b"GET http://%AT%/\tHTTP/1.1"),
            ("vertical tab", b"GET\x0bhttp://%AT%/ HTTP/1.1"),
            ("blank in the target", b"GET http://%AT%/a b HTTP/1.1"),
            ("no version", b"GET http://%AT%/"),
            ("no version, a blank", b"GET http://%AT%/ "),
            ("no target", b"GET HTTP/1.1"),
            ("an empty target", b"GET  HTTP/1.1"),
            ("no method", b"http://%AT%/ HTTP/1.1"),
            ("only a method", b"GET"),
            ("four words", b"GET http://%AT%/ HTTP/1.1 x")):
        first("line: " + name, line)
    add("line: HTTP/0.9", b"GET http://%AT%/\r\n\r\n", 400)
    for version in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0",
                    b"HTTP/2", b"HTTP/3.0", b"HTTP/1", b"HTTP/1.", b"HTTP/.1",
                    b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.01", b"http/1.1",
                    b"Http/1.1", b"HTTP/1.1x", b"HTTP/1,1", b"HTTP 1.1",
                    b"HTTPS/1.1", b"ICY/1.1", b"HTTP/1.\xb1", b"HTTP/11",
                    b"HTTP/-1.1", b"HTTP/1.+1"):
        first(f"version: {version!r}", b"GET http://%AT%/ " + version)
    add("version: HTTP/2.0 preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400)
    add("version: HTTP/1.0", b"GET http://%AT%/ HTTP/1.0\r\n\r\n",
        Pass(has=(b"Via: 1.0 wsp", b"Connection: close")))


def methods():
    for m in (b"PUT", b"DELETE", b"PATCH", b"PROPFIND", b"M-SEARCH", b"QUERY",
              b"FOO", b"X_Y", b"PRI", b"LONGER-THAN-ALL-OTHERS"):
        first(f"method: {m!r}", m + b" http://%AT%/m HTTP/1.1",
              Pass(m + b" /m HTTP/1.1"),  # PRI is HTTP/2 to haproxy
              strange=("haproxy",) if m == b"PRI" else ())
    nginx = ("nginx",)  # takes capitals, - and _ only
    for m in (b"get", b"connect", b"Foo", b"F00", b"!#$%&'*+-.^_`|~9",
              b"M" * 64):
        first(f"method: {m!r}", m + b" http://%AT%/m HTTP/1.1",
              Pass(m + b" /m HTTP/1.1"), strange=nginx)
    for m in (b"G{T", b"GET:", b"GET/", b"G(T", b"G@T", b"G\xc9T", b"G\x01T",
              b'"GET"', b"GET,", b"M" * 65, b"M" * 500, b"G=T", b"[GET]"):
        first(f"method: {m[:70]!r}", m + b" http://%AT%/ HTTP/1.1")
    add("method: TRACE with a body", b"TRACE http://%AT%/ HTTP/1.1\r\n" +
        HOST + b"Content-Length: 5\r\n\r\nhello", 400)
    add("method: TRACE with chunks", b"TRACE http://%AT%/ HTTP/1.1\r\n" +
        HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
    first("method: OPTIONS of the whole server",
          b"OPTIONS http://%AT% HTTP/1.1", Pass(b"OPTIONS * HTTP/1.1"),
          strange=nginx)
    first("method: OPTIONS of a query", b"OPTIONS http://%AT%?x HTTP/1.1",
          Pass(b"OPTIONS /?x HTTP/1.1"))
    first("method: OPTIONS *", b"OPTIONS * HTTP/1.1", Own(200))
    first("method: GET *", b"GET * HTTP/1.1")


def hosts():
    line = b"GET http://%AT%/ HTTP/1.1\r\n"
    add("host: none", line + b"\r\n", 400)
    add("host: same twice", line + HOST + HOST + b"\r\n", 400)
    add("host: two", line + HOST + b"Host: other\r\n\r\n", 400)
    add("host: none and HTTP/1.0, twice",
        b"GET http://%AT%/ HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400)
    for value in (b"a b", b"a/b", b"a@b", b"a,b", b"a?b", b"a#b", b"a\\b",
                  b"\xc3\xa9", b"a\tb", b"a\x00", b"a\x01", b"http://a/"):
        add(f"host: {value!r}", line + b"Host: " + value + b"\r\n\r\n", 400)
    for value in (b"other.example", b"", b"other.example:1", b"[::1]:8"):
        add(f"host: {value!r} is replaced", line + b"Host: " + value +
            b"\r\n\r\n", OK)
    add("host: blank before the colon", line + b"Host : %AT%\r\n\r\n", 400)
    add("host: folded", line + b"Host:\r\n %AT%\r\n\r\n", 400)


def targets():
    def path(uri, line, **kw):
        target(f"path {uri!r}", b"http://%AT%" + uri,
               Pass(b"GET " + line + b" HTTP/1.1"), **kw)

    path(b"", b"/")
    path(b"?q", b"/?q")
    path(b"/?", b"/?")
    path(b"/a//b/./c", b"/a//b/./c")
    path(b"/a/../b", b"/a/../b")
    path(b"//x", b"//x")
    path(b"/%41%2f%20", b"/%41%2f%20")
    path(b"/a@b:c", b"/a@b:c")
    path(b"/http://x/", b"/http://x/")
    path(b"?http://x@y", b"/?http://x@y")
    path(b"/!$&'()*+,;=~", b"/!$&'()*+,;=~")
    path(b"/\"<>\\^`{|}", b"/\"<>\\^`{|}", strange=("haproxy",))
    path(b"/%zz", b"/%zz", strange=("nginx",))
    path(b"/%00", b"/%00", strange=("nginx",))
    path(b"/../x", b"/../x", strange=("nginx",))
    for c in b"\x01\x1f\x7f\x80\xe9\xff":
        target(f"{bytes([c])!r} in the path",
               b"http://%AT%/" + bytes([c]))
    for uri in (b"http://u@%AT%/", b"http://u:p@%AT%/", b"http://@%AT%/",
                b"http://%AT%@evil/", b"http://%AT%/#f", b"http://%AT%#f",
                b"http:///", b"http://", b"http://:%PORT%/", b"http://:/",
                b"http://?x", b"http:/%AT%/", b"http:%AT%/", b"%AT%", b"%AT%/",
                b"http//%AT%/", b"://%AT%/", b"ftp://%AT%/", b"ws://%AT%/",
                b"file:///etc/passwd", b"gopher://%AT%/", b"httpx://%AT%/",
                b"http ://%AT%/", b"x-http://%AT%/", b"http:\\\\%AT%/"):
        target(repr(uri), uri)
    target("https", b"https://%AT%/", 501)
    target("HTTPS", b"HTTPS://%AT%/", 501)
    target("HTTP://", b"HTTP://%AT%/", OK)
    target("hTtP://", b"hTtP://%AT%/x", Pass(b"GET /x HTTP/1.1"))
    for port in (b"0", b"65536", b"99999", b"123456", b"-1", b"+1", b"8x",
                 b"0x50", b" 80", b"80:80", b"8 0", b"%38"):
        target(f"port {port!r}", b"http://127.0.0.1:" + port + b"/")
    for host in (b"127.1", b"0x7f.1", b"0x7f000001", b"2130706433", b"017700",
                 b"0177.0.0.1", b"127.0.0.01", b"127.0.0.0x1", b"127.0.1",
                 b"256.0.0.1", b"1.2.3.4.5", b"127.0.0.1.", b"127.0.0.1..",
                 b"a.0x1", b"a.1", b"::1", b"[::1", b"::1]", b"[]", b"[::1]x",
                 b"[127.0.0.1]", b"[::1%25lo]", b"[::1%lo]", b"[::g]", b"[a]",
                 b"[[::1]]", b"[::1].", b"[v1.x]", b"%31%32%37.0.0.1",
                 b"local%68ost", b"a..b", b".a", b".", b"..", b"a b", b"a\\b",
                 b"a;b", b"a|b", b"a,b", b"a'b", b"*", b"a!b", b"a$b", b"(a)",
                 b"a&b", b"a=b", b"a~b", b"a+b", b"\xc3\xa9.example",
                 b"l" * 64 + b".invalid", b"a." * 127 + b"invalid"):
        target(f"host {host[:40]!r}", b"http://" + host + b":%PORT%/")
    for host, name in ((b"localhost", b"localhost"),
                       (b"LocalHost", b"localhost"),
                       (b"[::1]", b"[::1]"), (b"[0:0::1]", b"[::1]")):
        target(f"host {host!r}", b"http://" + host + b":%PORT%/",
               Pass(host=name + b":%PORT%"))
    for host in (b"no-such.invalid", b"a_b.invalid", b"no-such.invalid.",
                 b"xn--e1afmkfd.invalid"):
        target(f"host {host!r}", b"http://" + host + b"/", 502)


def connects():
    def connect(name, uri, *fields, want=400, version=b"1.1", body=b"", **kw):
        add("CONNECT: " + name, b"CONNECT " + uri + b" HTTP/" + version +
            b"\r\n" + HOST + lines(fields) + b"\r\n" + body, want, **kw)

    connect("good", b"%AT%", want=Tunnel())
    connect("HTTP/1.0", b"%AT%", version=b"1.0", want=Tunnel())
    connect("a name", b"LOCALHOST:%PORT%", want=Tunnel())
    connect("IPv6", b"[::1]:%PORT%", want=Tunnel())
    connect("length 0", b"%AT%", b"Content-Length: 0", want=Tunnel())
    for uri in (b"127.0.0.1", b"127.0.0.1:", b"127.0.0.1:0", b":%PORT%",
                b"127.0.0.1:65536", b"127.0.0.1:+80", b"127.0.0.1:8x",
                b"u@%AT%", b"u:p@%AT%", b"%AT%/", b"%AT%?x", b"%AT%#x",
                b"http://%AT%", b"http://%AT%/", b"/", b"*", b"[::1]",
                b"[::1:%PORT%", b"::1:%PORT%", b"127.1:%PORT%",
                b"0x7f.1:%PORT%", b"a b:%PORT%", b"%31:%PORT%",
                b"a..b:%PORT%", b"%AT%,%AT%", b"127.0.0.1:%PORT%:%PORT%",
                b"\xe9:80", b"a\x00b:80"):
        connect(repr(uri), uri)
    connect("a length", b"%AT%", b"Content-Length: 5", body=b"hello")
    connect("chunks", b"%AT%", b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\n")
    connect("a malformed length", b"%AT%", b"Content-Length: x")
    connect("Connection: Host", b"%AT%", b"Connection: Host")
    add("CONNECT: no Host", b"CONNECT %AT% HTTP/1.1\r\n\r\n", 400)
    add("CONNECT: lower case", b"connect %AT% HTTP/1.1\r\n" + HOST + b"\r\n",
        400)


def limits():
    def uri(n):
        """A target of n bytes, for every length of the port."""
        return b"http://localhost:%PORT%/%FILL" + str(n).encode() + b"%"

    path = Pass(b"GET /%PATH% HTTP/1.1", host=b"localhost:%PORT%")
    target("16 KiB", uri(16384), path)
    target("16 KiB and 1", uri(16385), 414)
    target("60 KiB", uri(60000), 414)
    first("line: that does not end", b"G" * 70000, 414)
    get("field of 16 KiB", b"X: " + b"x" * 16381,
        want=Pass(has=(b"X: " + b"x" * 16381,)))
    get("field of 16 KiB and 1", b"X: " + b"x" * 16382, want=431)
    get("name of 16 KiB and 1", b"x" * 16385, want=431)
    get("fields of 60 KiB", *[b"X: " + b"x" * 15000] * 4)
    get("fields of 66 KiB", *[b"X: " + b"x" * 13500] * 5, want=431)
    get("128 fields", *[b"X: y"] * 127)
    get("129 fields", *[b"X: y"] * 128, want=431)
    get("10000 fields", *[b"X:"] * 10000, want=431)


def hops():
    get("hop: Connection: close", b"Connection: close",
        want=Pass(has=(b"Connection: close",)))
    get("hop: Connection: keep-alive", b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        want=Pass(hasnt=("connection", "keep-alive")))
    get("hop: Keep-Alive alone", b"Keep-Alive: 5",
        want=Pass(hasnt=("keep-alive",)))
    for name in (b"Host", b"HOST", b"Content-Length", b"content-length",
                 b"Transfer-Encoding", b"close, Host", b"X,Transfer-Encoding"):
        get(f"hop: Connection: {name!r}", b"Connection: " + name, want=400)
    get("hop: what Connection names goes", b"Connection: x-one, X-TWO,,X-3 ",
        b"X-One: 1", b"X-Two: 2", b"X-3: 3", b"X-4: 4",
        want=Pass(has=(b"X-4: 4",),
                  hasnt=("x-one", "x-two", "x-3", "connection")))
    get("hop: two Connections", b"Connection: a", b"connection: b", b"A: 1",
        b"B: 2", want=Pass(hasnt=("a", "b", "connection")))
    get("hop: named behind the field", b"A: 1", b"Connection: A",
        want=Pass(hasnt=("a",)))
    get("hop: Connection names Via", b"Via: 1.0 a", b"Connection: Via",
        want=Pass(has=(b"Via: 1.1 wsp",)))
    get("hop: an empty Connection", b"Connection:", b"Connection: ,")
    get("hop: too many names", b"Connection: " + b"a," * 33, want=400)
    for name in (b"Proxy-Connection", b"Proxy-Authorization", b"PROXY-X",
                 b"Proxy-Authenticate", b"Proxy-Status", b"proxy-"):
        get(f"hop: {name!r} goes", name + b": keep-alive",
            want=Pass(hasnt=(name.decode().lower(), "connection")))
    get("hop: TE: trailers", b"TE: trailers", b"Connection: TE",
        want=Pass(has=(b"TE: trailers", b"Connection: TE")))
    get("hop: TE: gzip", b"TE: gzip;q=0.5", want=Pass(hasnt=("te",)))
    get("hop: TE: gzip, trailers", b"TE: gzip, trailers",
        want=Pass(has=(b"TE: trailers",)))
    get("hop: Via grows", b"Via: 1.0 a, 1.1 b",
        want=Pass(has=(b"Via: 1.0 a, 1.1 b", b"Via: 1.1 wsp")))
    get("hop: Upgrade alone goes", b"Upgrade: websocket",
        want=Pass(hasnt=("upgrade", "connection")))
    get("hop: Upgrade", b"Upgrade: x", b"Connection: x, upgrade",
        want=Pass(has=(b"Upgrade: x", b"Connection: Upgrade")))
    add("hop: Upgrade in HTTP/1.0", b"GET http://%AT%/ HTTP/1.0\r\n"
        b"Upgrade: x\r\nConnection: upgrade\r\n\r\n",
        Pass(hasnt=("upgrade",)))
    for field in (b"Accept-Encoding: gzip, br;q=0.1", b"Trailer: X",
                  b"Expect: 200-ok", b"Max-Forwards: 3", b"Cookie: a=b",
                  b"Authorization: Basic eDp5", b"Range: bytes=0-1",
                  b"X-Forwarded-For: 1.2.3.4", b"Te-X: trailers"):
        get(f"hop: {field!r} stays", field, want=Pass(has=(field,)),
            strange=("haproxy",) if field[:6] == b"Expect" else ())
    post("Expect: 100-continue", b"Content-Length: 5",
         b"Expect: 100-continue",
         want=posted(has=(b"Expect: 100-continue",)))
    nginx = ("nginx",)  # refuses TRACE
    for method in (b"TRACE", b"OPTIONS"):
        for value, want in ((b"0", None), (b"1", b"0"), (b"07", b"6"),
                            (b"10", b"9"), (b"x", b"x"), (b"-1", b"-1")):
            add(f"Max-Forwards: {value!r} of {method!r}", method +
                b" http://%AT%/ HTTP/1.1\r\n" + HOST + b"Max-Forwards: " +
                value + b"\r\n\r\n", Own(200) if want is None else
                Pass(method + b" / HTTP/1.1",
                     has=(b"Max-Forwards: " + want,)), strange=nginx)


def chunked_bodies():
    end = b"0\r\n\r\n"
    good = posted(has=(b"Transfer-Encoding: chunked",))
    chunks("one", b"5\r\nhello\r\n" + end, good)
    chunks("none", end, posted(b""))
    chunks("each byte", b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + end,
           good)
    chunks("data that looks like more", b"7\r\n\r\n0\r\n\r\n\r\n" + end,
           posted(b"\r\n0\r\n\r\n"))
    for size, text in ((b"005", b"hello"), (b"A", b"x" * 10),
                       (b"a", b"x" * 10), (b"0A", b"x" * 10),
                       (b"1F4", b"x" * 500), (b"1f4", b"x" * 500),
                       (b"0000000000000005", b"hello")):
        chunks(f"size {size!r}", size + b"\r\n" + text + b"\r\n" + end,
               posted(text))
    for ext in (b";a", b";a=b", b';a="b"', b";a=b;c=d", b" ;a=b", b"\t;a=b",
                b';a="0\t5"', b";" + b"a" * 10000):
        chunks(f"extension {ext[:20]!r} is dropped",
               b"5" + ext + b"\r\nhello\r\n" + end, good)
    chunks("extension of the last chunk", b"5\r\nhello\r\n0;a=b\r\n\r\n", good)
    chunks("last chunk of many zeros", b"5\r\nhello\r\n0000\r\n\r\n", good)
    for ext in (b" ", b"\t", b" a", b"g", b";a\x00", b";a\x01", b";a\n",
                b";a\rb", b";\x7f", b";" + b"a" * 17000, b"\x0b;a",
                b",a", b"=a", b" \x00;"):
        chunks(f"extension {ext[:20]!r}", b"5" + ext + b"\r\nhello\r\n" + end)
    for size in (b"0x5", b"+5", b"-5", b" 5", b"\t5", b"", b"5h", b"G", b"x5",
                 b"5_0", b"5.", b"\x005", b"5\x00", b"\xb5", b"'5'", b"5 5",
                 b"F" * 16, b"1" + b"0" * 16, b"8" + b"0" * 15,
                 b"0" * 16 + b"5", b"0" * 500 + b"5", b"-0", b"+0", b"0x0"):
        chunks(f"size {size[:24]!r}", size + b"\r\nhello\r\n" + end)
    for name, body in (
            ("LF behind the size", b"5\nhello\r\n" + end),
            ("CR behind the size", b"5\rhello\r\n" + end),
            ("CR CR LF behind the size", b"5\r\r\nhello\r\n" + end),
            ("LF behind the data", b"5\r\nhello\n" + end),
            ("CR behind the data", b"5\r\nhello\r" + end),
            ("nothing behind the data", b"5\r\nhello" + end),
            ("more data than said", b"4\r\nhello\r\n" + end),
            ("less data than said", b"6\r\nhello\r\n" + end),
            ("LF CR behind the data", b"5\r\nhello\n\r" + end),
            ("LF behind the last size", b"5\r\nhello\r\n0\n\r\n"),
            ("LF as the end", b"5\r\nhello\r\n0\r\n\n"),
            ("CR as the end", b"5\r\nhello\r\n0\r\n\rX"),
            ("an empty line before the size", b"\r\n5\r\nhello\r\n" + end),
            ("no size", b"\r\nhello\r\n" + end)):
        chunks(name, body)
    for name, body in (("in the size", b"5"), ("in the data", b"5\r\nhel"),
                       ("before the last", b"5\r\nhello\r\n"),
                       ("in the last", b"5\r\nhello\r\n0\r\n"),
                       ("in the trailer", b"5\r\nhello\r\n0\r\nX: y\r\n"),
                       ("at once", b"")):
        chunks("end " + name, body, fin=True)


def trailers():
    def trailer(name, text, want=400, **kw):
        chunks("trailer: " + name, b"5\r\nhello\r\n0\r\n" + text + b"\r\n",
               want, **kw)

    trailer("passes", b"X-Sum: 1\r\nY:2 \r\n",
            posted(trailer=(b"X-Sum: 1", b"Y: 2")))
    for name in (b"Content-Length", b"Transfer-Encoding", b"Host", b"TE",
                 b"Connection", b"Authorization", b"Proxy-Authorization",
                 b"Trailer", b"Content-Type", b"Set-Cookie", b"Max-Forwards",
                 b"Upgrade", b"content-LENGTH"):
        trailer(f"{name!r} is dropped", name + b": 1\r\nX: y\r\n",
                posted(trailer=(b"X: y",)))
    for name, text in (
            ("blank before the colon", b"X : y\r\n"), ("no colon", b"X\r\n"),
            ("no name", b": y\r\n"), ("folded", b"X: y\r\n z\r\n"),
            ("LF", b"X: y\n"), ("CR", b"X: y\rZ: a\r\n"),
            ("NUL", b"X: y\0\r\n"), ("control", b"X: \x01\r\n"),
            ("raw name", b"\xe9: y\r\n"), ("blank first", b" X: y\r\n"),
            ("a request line", b"GET / HTTP/1.1\r\n"),
            ("too large a field", b"X: " + b"x" * 17000 + b"\r\n"),
            ("too many", b"X: y\r\n" * 129)):
        trailer(name, text)


for make in (lengths, codings, field_lines, line_ends, request_lines, methods,
             hosts, targets, connects, limits, hops, chunked_bodies, trailers):
    make()


def fill(data, port):
    """The bytes of a vector for an origin at this port."""
    data = data.replace(b"%AT%", b"127.0.0.1:%PORT%")
    data = data.replace(b"%PORT%", str(port).encode())
    at, _, rest = data.partition(b"%FILL")
    if rest:
        n, _, rest = rest.partition(b"%")
        n = int(n) - (len(at) - at.index(b"http://"))
        data = at + b"p" * n + rest
    return data
