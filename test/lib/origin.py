# SPDX-License-Identifier: MIT
"""An origin for real clients: /N is N bytes (ranges too), POST answers with the
hash of what has come, and for browsers a page of many objects, a WebSocket that
echoes, and server-sent events."""
import base64
import hashlib
import http.server
import queue
import random
import re
import ssl
import struct
import threading
import time

OBJECTS = 100
EVENTS = 5
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

# Every object counts itself; the WebSocket sends text and bytes and wants them
# back; events must come one by one. The result is posted.
PAGE = """<!doctype html><meta charset=utf-8><title>wsp</title>
<script>
var objects = 0, result = {};
function loaded() { objects++ }
</script>
%s
<script>
function socket() {
  return new Promise((done, fail) => {
    var ws = new WebSocket(location.href.replace(/^http/, 'ws') + 'ws');
    var bytes = crypto.getRandomValues(new Uint8Array(60000)), text = '';
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => { ws.send('h\\u00e9llo'); ws.send(bytes) };
    ws.onerror = () => fail('websocket');
    ws.onmessage = e => {
      if (typeof e.data == 'string') { text = e.data; return }
      var back = new Uint8Array(e.data);
      ws.onclose = c => done(text == 'h\\u00e9llo' && c.code == 1000 &&
        back.length == bytes.length && back.every((b, i) => b == bytes[i]));
      ws.close(1000);
    };
  });
}
function events() {
  return new Promise((done, fail) => {
    var source = new EventSource('events'), times = [];
    source.onerror = () => fail('events');
    source.onmessage = e => {
      times.push(performance.now());
      if (times.length < %d) return;
      source.close();
      done(times[times.length - 1] - times[0]);
    };
  });
}
async function upload() {
  var bytes = new Uint8Array(300000).map((_, i) => i * 7);
  var hash = await (await fetch('echo', {method: 'POST', body: bytes})).text();
  return hash;
}
onload = async () => {
  try {
    result.socket = await socket();
    result.events = await events();
    result.upload = await upload();
    var one = await (await fetch('1000000')).arrayBuffer();
    result.bytes = one.byteLength;
  } catch (e) { result.error = String(e) }
  result.objects = objects;
  fetch('result', {method: 'POST', body: JSON.stringify(result)});
};
</script>
""" % ("\n".join(f"<script src=object{i}></script>" for i in range(OBJECTS)),
       EVENTS)


def sized(n):
    return random.Random(n).randbytes(n)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body, kind="application/octet-stream", status=200,
               **fields):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if self.close_connection:  # asked for; http.server does not say so
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code, *args, **kw):
        """Proxies must not bring what is no request."""
        self.server.bad.append((code, self.raw_requestline))
        self.close_connection = True

    def do_GET(self):
        self.server.seen.append((self.command, self.path))
        if self.path == "/":
            self.answer(PAGE.encode(), "text/html")
        elif self.path == "/ws":
            self.echo_websocket()
        elif self.path == "/events":
            self.send_events()
        elif self.path.startswith("/object"):
            self.answer(b"loaded() //" + b"x" * 2000, "text/javascript",
                        Cache_Control="no-store")
        elif re.fullmatch("/[0-9]+", self.path):
            self.send_bytes(sized(int(self.path[1:])))
        else:
            self.answer(b"no such thing", "text/plain", 404)

    do_HEAD = do_GET

    def send_bytes(self, body):
        asked = re.fullmatch("bytes=([0-9]+)-([0-9]*)",
                             self.headers.get("Range", ""))
        if not asked:
            self.answer(body, Accept_Ranges="bytes")
            return
        first, last = int(asked[1]), int(asked[2] or len(body) - 1)
        self.server.ranges.add(first)
        self.answer(body[first:last + 1], status=206, Accept_Ranges="bytes",
                    Content_Range=f"bytes {first}-{last}/{len(body)}")

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        data = b""
        while n := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(n)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return data

    def do_POST(self):
        self.server.seen.append((self.command, self.path))
        data = self.body()
        if self.path == "/result":
            self.server.results.put(data)
        self.answer(hashlib.sha256(data).hexdigest().encode(), "text/plain")

    do_PUT = do_POST

    def send_events(self):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for i in range(EVENTS):
            self.wfile.write(b"data: %d\n\n" % i)
            time.sleep(0.1)
        self.rfile.read(1)  # until the browser goes

    def echo_websocket(self):
        self.close_connection = True
        key = self.headers["Sec-WebSocket-Key"] + GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
                         b"websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        opcode = 0
        while opcode != 8:
            opcode, data = self.read_frame()
            head = bytes([0x80 | opcode])
            head += bytes([len(data)]) if len(data) < 126 else \
                struct.pack(">BH", 126, len(data))
            self.wfile.write(head + data)

    def read_frame(self):
        """Opcode and payload; browsers do not fragment what is small."""
        first, second = self.rfile.read(2)
        n = second & 127
        if n == 126:
            n, = struct.unpack(">H", self.rfile.read(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.rfile.read(8))
        mask = int.from_bytes((self.rfile.read(4) * (n // 4 + 1))[:n], "big")
        data = int.from_bytes(self.rfile.read(n), "big") ^ mask
        return first & 15, data.to_bytes(n, "big")


class Origin(http.server.ThreadingHTTPServer):
    """cert: (cert, key) for https."""
    request_queue_size = 128

    def __init__(self, cert=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.ranges, self.results = [], set(), queue.Queue()
        self.bad = []
        self.context = None
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*cert)
        self.url = "%s://127.0.0.1:%d/" % ("https" if cert else "http",
                                           self.server_port)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        """In the connection's thread: a handshake must not hold up others."""
        request.settimeout(60)
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            if self.context:
                request.close()

    def handle_error(self, request, client_address):
        pass  # clients go when they like
