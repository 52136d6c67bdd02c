"""A receiver of notifications to try a Subscription with: python examples/receiver.py [port]

It answers 200 and prints, for each notification, its type, its event numbers and what changed.
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        bundle = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = bundle["entry"][0]["resource"]
        named = {part["name"]: part for part in status["parameter"]}
        events = [piece for part in status["parameter"] if part["name"] == "notification-event" for piece in part["part"]]
        numbers = [piece["valueString"] for piece in events if piece["name"] == "event-number"]
        focus = [piece["valueReference"]["reference"] for piece in events if piece["name"] == "focus"]
        print(named["type"]["valueCode"], ", ".join(numbers), " ".join(focus), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Only notifications are printed."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9090
    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"http://127.0.0.1:{server.server_port}/notify", flush=True)
        server.serve_forever()
