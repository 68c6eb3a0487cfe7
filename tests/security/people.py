"""Somebody of each role, in an application of its own with something of every kind in it. Used by roles.py and hooks.py.

Whoever is attacked with made-up requests loses much: ends its own sign-in, removes itself, deletes its application. So
everything here can be made anew at any time, in the name of the first admin.
"""
import http.client, json, os, ssl, subprocess, time, urllib.parse

ROLES = ("nobody", "viewer", "read_only", "user", "admin", "key", "cluster")
PASSPHRASE = "wolken ziehen ueber das meer"
CONTEXT = ssl.create_default_context(cafile=os.environ["CA"])


def call(method, path, body=None, token=None, kind="application/json", raw=None):
    """The status and the answer's JSON. An account that was guessed at is held off for a while: that is waited for."""
    until = time.monotonic() + 300
    while True:
        status, answer, wait_seconds = asked(method, path, body, token, kind, raw)
        if status != 429 or time.monotonic() + wait_seconds > until:
            return status, answer
        time.sleep(wait_seconds)


def asked(method, path, body, token, kind, raw):
    """One try: the status, the answer's JSON, and how long to wait before another one."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    data = raw if body is None else json.dumps(body).encode()
    if data is not None:
        headers["content-type"] = kind
    node = urllib.parse.urlsplit(os.environ["NODE_URL"])
    # From another address: the attacker's is held off after some wrong links and passphrases.
    connection = http.client.HTTPSConnection(
        node.hostname, node.port, context=CONTEXT, timeout=60, source_address=("127.0.0.2", 0))
    try:
        connection.request(method, "/api/v1" + path, data, headers)
        answer = connection.getresponse()
        status, text, wait_seconds = answer.status, answer.read(), int(answer.headers.get("retry-after", "1"))
    finally:
        connection.close()
    return status, json.loads(text) if text else None, wait_seconds


def made(method, path, body=None, token=None, **more):
    status, answer = call(method, path, body, token, **more)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status} {answer}")
    return answer


def first_admin():
    """A new sign-in of the node's first admin."""
    login = {"username": os.environ["NODE_USER"], "password": os.environ["NODE_PASSWORD"]}
    return made("POST", "/sessions?kind=token", login)["token"]


def person(admin, application, role, name):
    """The token and id of a new member."""
    invite = made("POST", f"/applications/{application}/invites", {"role": role}, admin)
    asked = {"secret": invite["secret"], "username": name, "password": PASSPHRASE}
    answer = made("POST", "/invites/accept?kind=token", asked)
    return answer["token"], answer["user"]["id"]


def surroundings(admin, name, clip):
    """An application with assets, a collection, keys, people and invitations in it; everything by its kind."""
    app = made("POST", "/applications", {"name": name}, admin)["id"]
    assets = []
    for number, bytes_ in enumerate((clip, b"no video at all", b"to be deleted", b"to be deleted")):
        path = f"/applications/{app}/files/{number}.mp4"
        assets.append(made("PUT", path, token=admin, raw=bytes_, kind="video/mp4")["asset"])
    for asset in assets:
        call("POST", f"/assets/{asset}/publish", {}, admin)
    call("POST", f"/assets/{assets[2]}/trash", token=admin)
    collections = [made("POST", f"/applications/{app}/collections", {"name": f"c{n}"}, admin)["id"] for n in range(4)]
    invites = [made("POST", f"/applications/{app}/invites", {"role": "viewer"}, admin) for _ in range(8)]
    keys = [made("POST", f"/applications/{app}/api-keys", {"name": f"k{n}", "role": "user"}, admin)["id"] for n in range(4)]
    users = [person(admin, app, "viewer", f"{name.lower().replace(' ', '-')}-{n}")[1] for n in range(4)]
    spare = made("POST", "/applications", {"name": f"{name} spare"}, admin)["id"]
    jobs = [job["id"] for job in made("GET", f"/jobs?application={app}", token=admin)["items"]]
    view, download = watching(admin, assets[0])
    ids = [invite["id"] for invite in invites]
    return {
        "app": [app], "asset": assets[:2], "collection": collections[:2], "invite": ids[:2], "key": keys[:2], "user": users[:2],
        "job": jobs, "secret": [invite["secret"] for invite in invites[4:]], "view": view, "download": download,
        "file": ["main.m3u8"], "node": ["1"], "alert": [1, 2, 3], "channel": ["webhook", "syslog", "email"],
        # What the operations that remove something are told of.
        "spare_app": [spare], "spare_asset": assets[2:], "spare_collection": collections[2:], "spare_invite": ids[2:4],
        "spare_key": keys[2:], "spare_user": users[2:],
    }


def watching(admin, asset):
    """A View and a download of the asset, as soon as there is something to watch."""
    for _ in range(300):
        status, view = call("POST", f"/assets/{asset}/views", {"carrier": "path", "any_address": True}, admin)
        if status == 201:
            link = made("POST", f"/assets/{asset}/downloads", {"what": "original"}, admin)
            return [view["playlist_url"].split("/")[-2]], [link["url"].split("/")[-1]]
        time.sleep(0.2)
    return [], []


def somebody(admin, role, application):
    """The token of somebody new who has the role; none for nobody."""
    name = f"s-{role.replace('_', '-')}-{time.time_ns() % 10**12}"
    if role == "nobody":
        return None
    if role == "key":
        return made("POST", f"/applications/{application}/api-keys", {"name": name, "role": "user"}, admin)["secret"]
    if role != "cluster":
        return person(admin, application, role, name)[0]
    user = made("POST", "/users", {"username": name, "password": PASSPHRASE}, admin)["id"]
    made("PATCH", f"/users/{user}", {"admin": True}, admin)
    return made("POST", "/sessions?kind=token", {"username": name, "password": PASSPHRASE})["token"]


def clip():
    """A short real video."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    path = subprocess.run([os.path.join(root, "setup/clip.sh")], check=True, capture_output=True, text=True).stdout.strip()
    with open(os.path.join(root, path), "rb") as file:
        return file.read()
