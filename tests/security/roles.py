#!/usr/bin/env python3
"""Makes somebody of each role and prints `role token` lines."""
import json, os, ssl, urllib.request

context = ssl.create_default_context(cafile=os.environ["CA"])


def call(method, path, body=None, token=None):
    request = urllib.request.Request(os.environ["NODE_URL"] + "/api/v1" + path, method=method)
    request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(request, data, context=context) as answer:
        text = answer.read()
    return json.loads(text) if text else None


login = {"username": os.environ["NODE_USER"], "password": os.environ["NODE_PASSWORD"]}
admin = call("POST", "/sessions?kind=token", login)["token"]
application = os.environ["APPLICATION"]
print("nobody -")
for role in ("viewer", "read_only", "user", "admin"):
    invite = call("POST", f"/applications/{application}/invites", {"role": role}, admin)
    person = {"secret": invite["secret"], "username": f"schema-{role}", "password": "wolken ziehen ueber das meer"}
    print(role, call("POST", "/invites/accept?kind=token", person)["token"])
key = call("POST", f"/applications/{application}/api-keys", {"name": "schema", "role": "user"}, admin)
print("key", key["secret"])
print("cluster", admin)
