"""An agent with three tasks, exactly once over lost connections. python agent.py [session id]"""

import os
import platform
import re
import sys
import threading
import time

import socketio

URL = os.environ.get("STATE_HUB_URL", "http://127.0.0.1:3000")
KEY = os.environ.get("STATE_HUB_KEY", "")
UNKNOWN_OR_LATER = {"UNAVAILABLE", "TIMEOUT", "INTERNAL", "OVERLOADED", "RATE_LIMITED", "DRAINING"}


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]


class Agent:
    def __init__(self, session_id, agent_id, metadata):
        machine_id = re.sub(r"[^A-Za-z0-9._:@-]+", "-", platform.node()) or "unknown"
        self.open_request = {"session_id": session_id, "machine_id": machine_id, "metadata": metadata}
        self.auth = {"key": KEY, "protocol": 1, "agent_id": agent_id, "client": "example-python/1"}
        self.proof = {}  # incarnation and token, once the session is open
        self.last_op = 0
        self.interval = 5.0
        self.activity = None
        self.socket = None
        threading.Thread(target=self.beat_for_ever, daemon=True).start()

    def connect(self):
        """A new connection, and the session open on it."""
        if self.socket is not None:
            self.socket.disconnect()
        socket = socketio.Client(reconnection=False)
        socket.connect(URL, auth=self.auth, namespaces=["/agents"], transports=["websocket"])
        self.socket = socket
        opened = self.ask("session:open", {**self.open_request, **self.proof})
        self.proof = {"incarnation": opened["incarnation"], "token": opened["token"]}
        self.last_op = max(self.last_op, opened["last_op"])
        self.interval = opened["lease"]["interval_ms"] / 1000

    def ask(self, event, message):
        ack = self.socket.call(event, message, namespace="/agents", timeout=10)
        if not ack["ok"]:
            raise Refused(ack["error"])
        return ack

    def publish(self, event="changes:publish", **content):
        """Asks the same op until the hub has answered it, on as many connections as that takes."""
        message = None
        while True:
            try:
                if self.socket is None or not self.socket.connected:
                    self.connect()
                if message is None:
                    head = {"session_id": self.open_request["session_id"], "op": self.last_op + 1}
                    message = {**head, **content}
                answer = self.ask(event, {**message, "incarnation": self.proof["incarnation"]})
                self.last_op = message["op"]
                return answer
            except Refused as refused:
                # An end whose answer was lost: the session cannot be opened any more, but its last op is answered.
                if refused.code == "INVALID_TRANSITION" and message is not None and event == "session:close":
                    return self.ask(event, {**message, "incarnation": self.proof["incarnation"]})
                if refused.code not in UNKNOWN_OR_LATER:
                    raise
            except socketio.exceptions.SocketIOError as lost:
                print(f"trying again: {lost}", file=sys.stderr)
            time.sleep(1)

    def beat_for_ever(self):
        while True:
            time.sleep(self.interval)
            beat = {"session_id": self.open_request["session_id"], "incarnation": self.proof.get("incarnation", 1)}
            if self.activity is not None:
                beat["activity"] = self.activity
            try:
                if self.proof and self.socket.connected:
                    self.socket.emit("heartbeat", {"sessions": [beat]}, namespace="/agents")
            except socketio.exceptions.SocketIOError:
                pass  # the next publish connects again


def main():
    session_id = sys.argv[1] if len(sys.argv) > 1 else f"example-python-{int(time.time())}"
    agent = Agent(session_id, "example-python", {"title": "Example in Python"})
    for title in ["Read", "Think", "Write"]:
        agent.activity = title
        task = {"kind": "task", "task_id": title.lower()}
        agent.publish(changes=[{**task, "title": title, "status": "IN_PROGRESS"}])
        time.sleep(0.5)  # the work itself
        agent.publish(changes=[{**task, "status": "COMPLETED", "progress": 1}])
    answer = agent.publish("session:close", status="COMPLETED", metadata={"tasks": 3})
    agent.socket.disconnect()
    print(f"{session_id} ended with change {answer['seq']}")


main()
