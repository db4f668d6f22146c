#!/usr/bin/env python3
"""lead.py SOCKET: acts while the agent of that socket is the goose. README.md tells what it says and hears."""
import http.client, json, select, socket, sys, time

class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])

def say(line):  # a chunk of the request's body
    text = json.dumps(line).encode() + b"\n"
    conn.sock.sendall(b"%x\r\n%s\r\n" % (len(text), text))

def act(token):  # short, and with the token: whoever is acted upon refuses a smaller one
    print(token, flush=True)

conn = Unix("agent")
conn.putrequest("POST", "/v1/lead?kind=lead.py")
conn.putheader("Transfer-Encoding", "chunked")
conn.endheaders()
answer = conn.sock.makefile("rb", buffering=0)
if b" 200 " not in list(iter(answer.readline, b"\r\n"))[0]:
    sys.exit(answer.read(4096).decode())
token, drained, until, text = 0, 0, 0.0, b""
while True:
    if token and time.clock_gettime(time.CLOCK_BOOTTIME) < until:
        act(token)
    elif token:  # not renewed: from here on nothing is done
        say({"drained": token})
        token, drained, until = 0, token, 0
    if select.select([answer], [], [], 0.05)[0]:
        text += answer.read(65536) or sys.exit("the agent is gone")
        *lines, text = text.split(b"\n")
        for event in (json.loads(line) for line in lines if line.startswith(b"{")):  # the others frame chunks
            if "until_boottime_ns" in event and not drained and until >= 0:
                token, until = event["token"], (event["until_boottime_ns"] - 0.4 * event["lease_ns"]) / 1e9
            elif event.get("stop") and token:
                until = -1
            elif event.get("drained") == drained:
                drained = 0
