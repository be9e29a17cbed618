"""Prints a project's changes until a session has ended. python viewer.py [session id]"""

import os
import sys
import threading

import socketio

URL = os.environ.get("STATE_HUB_URL", "http://127.0.0.1:3000")
KEY = os.environ.get("STATE_HUB_KEY", "")
PROJECT = "default"
WANTED = sys.argv[1] if len(sys.argv) > 1 else None

position = None  # {"epoch", "seq"} of the last change that was printed
done = threading.Event()
socket = socketio.Client(reconnection_delay=0.5, reconnection_delay_max=5)


def show(changes):
    for change in changes:
        if position is not None and change["seq"] <= position["seq"]:
            continue
        status = (change.get("state") or change.get("patch") or {}).get("status", "")
        print(f"#{change['seq']} {change['kind']} {change['id']} {status}", flush=True)
        if change["kind"] == "session" and change["type"] == "ended" and WANTED in (None, change["id"]):
            done.set()


def joined(ack):
    global position
    if not ack["ok"]:
        sys.exit(f"{ack['error']['code']}: {ack['error']['message']}")
    if ack["mode"] == "replay":
        show(ack["changes"])
    elif position is not None:
        print(f"changes after {position['seq']} can no longer be had one by one", flush=True)
    else:
        print(f"following {PROJECT}: {len(ack['sessions'])} sessions at change {ack['seq']}", flush=True)
    position = {"epoch": ack["epoch"], "seq": ack["seq"]}


def join():
    request = {"project_id": PROJECT}
    if position is not None and position["epoch"] != "":
        request["since"] = position
    socket.emit("project:join", request, namespace="/viewers", callback=joined)


@socket.on("connect", namespace="/viewers")
def connected():
    join()


@socket.on("changes", namespace="/viewers")
def changes(frame):
    global position
    if position is None or frame["from_seq"] != position["seq"] + 1:
        join()  # a hole, or a frame of a former join
        return
    show(frame["changes"])
    position = {"epoch": frame["epoch"], "seq": frame["to_seq"]}


@socket.on("position", namespace="/viewers")
def told(frame):
    if position != {"epoch": frame["epoch"], "seq": frame["seq"]}:
        join()


@socket.on("project:reset", namespace="/viewers")
def reset(_frame):
    global position
    position = None
    join()


auth = {"key": KEY, "protocol": 1, "client": "example-python/1"}
socket.connect(URL, auth=auth, namespaces=["/viewers"], transports=["websocket"], retry=True)
done.wait()
socket.disconnect()
