#!/usr/bin/env python3
"""Sends the cases of a file of bad inputs to a running server and judges the status of each answer.

Usage: judge.py CASES.jsonl CONTEXT.json [--only PREFIX] [--group GROUP] [--dump NAME]

bad_inputs.md describes the format. The program uses the standard library only and calls loopback servers only.
"""
import argparse, base64, hashlib, hmac, json, re, socket, sys, threading, time, uuid, zlib
from urllib.parse import quote

REP = re.compile(r"\$\{REP:(.+?):(\d+)\}", re.S)
VAR = re.compile(r"\$\{([A-Z0-9_]+)(\+|:[a-z0-9-]+|[-+]\d+)?\}")


def hmac_key(secret):
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


class Expander:
    """Turns one repetition of one case into bytes."""

    def __init__(self, ctx, index, case_uuid):
        self.ctx, self.index, self.case_uuid, self.now = ctx, index, case_uuid, int(time.time())
        self.headers, self.body = {}, b""

    def text(self, s):
        s = REP.sub(lambda m: m.group(1) * int(m.group(2)), s)
        return VAR.sub(lambda m: self.var(m.group(1), m.group(2) or "", m.group(0)), s)

    def var(self, name, mod, whole):
        if name == "UUID":
            return str(uuid.uuid4()) if mod == "+" else self.case_uuid
        if name == "I":
            return str(self.index)
        if name == "NOW":
            return str(self.now + (int(mod) if mod else 0))
        if name in ("SIG", "SIG2", "HUBSIG"):
            return self.signature(name, mod[1:])
        if name not in self.ctx:
            raise KeyError(f"context lacks {name} (for {whole})")
        v = str(self.ctx[name])
        return {"": v, ":cut1": v[:-1], ":swapcase": v.swapcase(), ":enc": quote(v, safe="")}[mod]

    def signature(self, name, mod):
        body = {"over-empty-object": b"{}", "over-body-minus-last-byte": self.body[:-1]}.get(mod, self.body)
        if name == "HUBSIG":
            algorithm = hashlib.sha1 if mod == "sha1" else hashlib.sha256
            digest = hmac.new(self.ctx["RX_HUB_SECRET"].encode(), body, algorithm).hexdigest()
            return {"upper": "sha256=" + digest.upper(), "bare": digest, "sha1": digest}.get(mod, "sha256=" + digest)
        key = hmac_key(self.ctx["RX_SIG2_SECRET" if name == "SIG2" else "RX_SIG_SECRET"])
        head = f"{self.headers.get('webhook-id', '')}.{self.headers.get('webhook-timestamp', '')}.".encode()
        raw = hmac.new(key, head + body, hashlib.sha256).digest()
        b64 = base64.b64encode(raw).decode()
        if mod == "flip":
            b64 = ("B" if b64[0] == "A" else "A") + b64[1:]
        return {"bare": b64, "hex": raw.hex(), "cut1": "v1," + b64[:-2]}.get(mod, "v1," + b64)

    def parts(self, spec):
        """Yields bytes, ('sleep', seconds) or ('eof',)."""
        for p in spec:
            if "t" in p:
                yield self.text(p["t"]).encode("utf-8", "surrogatepass")
            elif "b64" in p:
                yield base64.b64decode(p["b64"])
            elif "rep" in p:
                unit, n = self.text(p["rep"][0]).encode(), p["rep"][1]
                step = max(1, (1 << 20) // max(1, len(unit)))
                for i in range(0, n, step):
                    yield unit * min(step, n - i)
            elif "seq" in p:
                unit, n, sep = p["seq"]
                yield sep.join(unit.replace("{i}", str(i)) for i in range(n)).encode()
            elif "gzip" in p:
                z = zlib.compressobj(9, zlib.DEFLATED, 31)
                for chunk in self.parts(p["gzip"]):
                    yield z.compress(chunk)
                yield z.flush()
            elif "sleep_ms" in p:
                yield ("sleep", p["sleep_ms"] / 1000)
            elif "eof" in p:
                yield ("eof",)
            else:
                raise ValueError(p)

    def request(self, case):
        if "raw_gen" in case:
            return list(self.parts(case["raw_gen"]))
        if "body_gen" in case:
            self.body = b"".join(self.parts(case["body_gen"]))
        else:
            raw = base64.b64decode(case.get("body_b64", ""))
            # latin-1 keeps every byte as it is while placeholders are filled in
            self.body = self.text(raw.decode("latin-1")).encode("latin-1") if b"${" in raw else raw
        rows = []
        for name, value in case["headers"]:
            value = self.text(value)
            self.headers.setdefault(name.lower(), value)
            rows.append((name, value))
        have = {n.lower() for n, _ in rows}
        if "host" not in have:
            rows.insert(0, ("Host", self.ctx["HOST"]))
        if "content-length" not in have and (self.body or case["method"] not in ("GET", "HEAD", "OPTIONS", "DELETE")):
            rows.append(("Content-Length", str(len(self.body))))
        fields = "".join(f"{n}: {v}\r\n" for n, v in rows)
        head = f"{case['method']} {self.text(case['path'])} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
        return [head.encode("utf-8", "surrogatepass"), self.body]


def exchange(host, port, chunks, timeout):
    """Returns (status or 0, seconds). 0: closed or silent without a status line."""
    start, deadline = time.monotonic(), time.monotonic() + timeout
    sock = socket.create_connection((host, port), timeout=5)
    sock.settimeout(timeout)
    stop = threading.Event()

    def send():
        try:
            for c in chunks:
                if stop.is_set():
                    return
                if isinstance(c, tuple):
                    if c[0] == "eof":
                        sock.shutdown(socket.SHUT_WR)
                    else:
                        stop.wait(min(c[1], max(0, deadline - time.monotonic())))
                else:
                    sock.sendall(c)
        except OSError:
            pass

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    data, status, seen_continue = b"", 0, False
    try:
        while time.monotonic() < deadline:
            sock.settimeout(max(0.05, deadline - time.monotonic()))
            got = sock.recv(65536)
            if not got:
                break
            data += got
            while True:
                m = re.match(rb"HTTP/\d(?:\.\d)? (\d{3})[^\n]*\n", data)
                if not m:
                    break
                code = int(m.group(1))
                if code != 100:
                    status = code
                    break
                seen_continue = True
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    break
                data = data[end + 4:]
            if status:
                break
    except OSError:
        pass
    stop.set()
    sock.close()
    return status or (100 if seen_continue else 0), time.monotonic() - start


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("cases"); ap.add_argument("context")
    ap.add_argument("--only", default=""); ap.add_argument("--group", default=""); ap.add_argument("--dump", default="")
    a = ap.parse_args()
    ctx = json.load(open(a.context))
    host, port = ctx["HOST"].rsplit(":", 1)
    assert host in ("127.0.0.1", "localhost", "[::1]"), "loopback only"
    passed, failed, skipped, unjudged = 0, [], [], []
    for line in open(a.cases, encoding="utf-8"):
        case = json.loads(line)
        if not case["name"].startswith(a.only) or (a.group and case["group"] != a.group):
            continue
        case_uuid, results = str(uuid.uuid4()), []
        try:
            if a.dump == case["name"]:
                for c in Expander(ctx, 0, case_uuid).request(case):
                    sys.stdout.buffer.write(c if isinstance(c, bytes) else repr(c).encode() + b"\n")
                return
            for i in range(case.get("times", 1)):
                chunks = Expander(ctx, i, case_uuid).request(case)
                results.append(exchange(host, int(port), chunks, case.get("timeout_s", 10)))
        except KeyError as e:
            skipped.append((case["name"], str(e)))
            continue
        except OSError as e:
            results.append((-1, 0))
            print("cannot connect:", e)
        status, secs = results[-1]
        expected = case["expect_status"]
        ok = status in expected and not any(500 <= r[0] <= 599 and r[0] not in expected for r in results)
        alive = True
        if "HEALTH" in ctx:
            req = f"GET {ctx['HEALTH']} HTTP/1.1\r\nHost: {ctx['HOST']}\r\nConnection: close\r\n\r\n".encode()
            try:
                alive = exchange(host, int(port), [req], 3)[0] in (200, 204)
            except OSError:
                alive = False
        if ok and alive:
            passed += 1
        else:
            failed.append(case["name"])
            after = "" if alive else "; the server did not answer a good request afterwards"
            print(f"FAIL {case['name']}: got {status} in {secs:.2f} s, want {expected}{after}")
        unjudged += [(case["name"], c) for c in case.get("check", [])]
    print(f"{len(unjudged)} further checks are not judged here; see 'check' in the cases")
    for n, why in skipped:
        print("SKIP", n, why)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
