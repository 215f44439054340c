"""Writes a recording of GETs at even times, run by a Python that has fastavro: OUT COUNT RATE PATH HOST.

OUT ends in .avro, by mirror's own schema, or in .gor, as GoReplay writes it."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[2] / "mirror/src/recording/avro/exchange.avsc"
FIRST = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
SEPARATOR = "\n\N{MONKEY FACE}\N{SEE-NO-EVIL MONKEY}\N{HEAR-NO-EVIL MONKEY}\n".encode()


def exchanges(count, rate, path, host):
    message = {"body": b"", "body_length": 0, "trailers": [], "truncated": None}
    headers = [{"name": "Host", "value": host}, {"name": "User-Agent", "value": "bench"}, {"name": "Accept", "value": "*/*"}]
    request = {"method": "GET", "target": path, "version": "HTTP/1.1", "headers": headers, **message}
    answer = {"body": b"ok\n", "body_length": 3, "trailers": [], "truncated": None}
    length = [{"name": "Content-Length", "value": "3"}]
    response = {"version": "HTTP/1.1", "status": 200, "reason": "OK", "headers": length, **answer}
    for i in range(count):
        yield {
            "id": f"{i:032x}",
            "start": FIRST + timedelta(microseconds=round(i * 1e6 / rate)),
            "source": "proxy",
            "client": f"10.0.0.1:{40000 + i % 32}",
            "server": "10.0.0.2:80",
            "request": request,
            "response": response,
            "aborted": None,
            "request_end_micros": 0,
            "response_start_micros": 200,
            "end_micros": 200,
            "answers": [],
        }


def gor(count, rate, path, host):
    payload = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()
    first = int(FIRST.timestamp()) * 10**9
    for i in range(count):
        yield b"1 %024x %d 0\n" % (i, first + round(i * 1e9 / rate)) + payload + SEPARATOR


out, count, rate, path, host = sys.argv[1:]
arguments = (int(count), float(rate), path, host)
with open(out, "wb") as file:
    if out.endswith(".gor"):
        file.writelines(gor(*arguments))
    else:
        from fastavro import writer
        from fastavro.schema import load_schema

        writer(file, load_schema(str(SCHEMA)), exchanges(*arguments), codec="zstandard")
