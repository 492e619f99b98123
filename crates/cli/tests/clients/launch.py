#!/usr/bin/env python3
"""Starts a server and a receiver, and runs a client in another language against them.

Usage: launch.py PATH_OF_QUICKDRAW [DATABASE_URL] -- COMMAND...

The environment of the command has QUICKDRAW_URL, QUICKDRAW_TOKEN and RECEIVER_URL. Hooks can deliver to any path of the
receiver, and `GET /N` there answers request number N as {"headers": ..., "body": ...}.
"""
import os
import subprocess
import sys

from harness import TOKEN, server, sink

split = sys.argv.index("--")
arguments, command = sys.argv[1:split], sys.argv[split + 1:]
with sink() as receiver, server(*arguments) as address:
    environment = os.environ | {"QUICKDRAW_URL": address, "QUICKDRAW_TOKEN": TOKEN, "RECEIVER_URL": receiver}
    done = subprocess.run(command, env=environment, timeout=1200)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
