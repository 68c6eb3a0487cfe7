"""What schemathesis loads for one role: signs its requests, and makes the role anew whenever a request destroyed it."""
import json, os, re, threading
import people
import schemathesis
from schemathesis.specs.openapi import checks

with open(os.environ["ROLE_FILE"], encoding="utf-8") as file:
    SETUP = json.load(file)
LOCK = threading.Lock()
# What no schema can say, because it depends on what the node gave out, keeps or knows, on two values together, on the
# meaning of a text, or on another machine: the code of the refusal, and what its detail must be like.
NOT_OF_THE_SCHEMA = {
    "invalid_cursor": "",  # what a list of this node gave
    "link_not_valid": "",  # what somebody was sent
    "recovery_key_wrong": "",  # has a check sum
    "passphrase_common": "",
    "passphrase_predictable": "",
    "nothing_to_change": "",  # null is what is left out
    "bad_rendition": "",  # has a number of 16 bits
    "bad_language": "",  # `und` is none
    "bad_length": "",  # one header or the other
    "bad_metadata": "",
    "bad_checksum_header": "",
    "upload_too_long": "",
    "certificate_unreadable": "",
    "alert_channel_unusable": "",  # looks the name up
    "secret_needed": "",
    "password_needed": "",
    "which_backup_target": "",
    "application_missing": "",  # in a header, base64; whoever belongs to one application may leave it out
    "upload_complete": "",
    "upload_busy": "",
    "not_webvtt": "",
    "bad_webvtt": "",
    "captions_empty": "",
    "captions_markup_refused": "",
    "unsupported_media_type": r"image/jpeg or image/png",  # looks at the picture, not at its name
    "target_unreachable": "",  # asks the place
    "target_denied": "",
    "target_forbidden": "",
    "target_failed": "",
    # A network; and 9.0, which is a whole number to JSON Schema and none to serde.
    "invalid_body": r"(invalid IP address syntax|invalid prefix|expected u(8|16|32|64)\.)",
    "invalid": r"(must not name the same thing twice|Expires_ms is out of range|Until_ms is out of range|Username may only)",
}


@schemathesis.serializer("application/offset+octet-stream", "image/jpeg", "image/png")
def as_it_is(ctx, value):
    """Bytes, or what stands for them."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.check
def accepts_what_it_allows(ctx, response, case):
    """The tool's own check of this, but for what a schema cannot say."""
    kind = response.headers.get("content-type", [""])[0]
    if 400 <= response.status_code < 500 and response.content and kind.startswith("application/problem+json"):
        problem = response.json()
        like = NOT_OF_THE_SCHEMA.get(problem["code"])
        if like is not None and re.search(like, problem["detail"]):
            return None
    return checks.positive_data_acceptance(ctx, response, case)


def still_there(token):
    """Whether the token counts, and its application is still there. A cluster admin sees the latter in any case."""
    status, _ = people.call("GET", f"/applications/{SETUP['found']['app'][0]}", token=token)
    return status == 200


def renew():
    """Somebody new of the same role, in a new application if the old one is gone."""
    admin = people.first_admin()
    application = SETUP["found"]["app"][0]
    if people.call("GET", f"/applications/{application}", token=admin)[0] != 200:
        raise RuntimeError("the application is gone")
    SETUP["token"] = people.somebody(admin, SETUP["role"], application)
    with open(os.environ["RENEWED"], "a", encoding="utf-8") as file:
        file.write(".")


if SETUP["role"] != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Sign:
        def get(self, case, context):
            return SETUP["token"]

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {SETUP['token']}"

    @schemathesis.hook
    def after_call(context, case, response):
        sent = response.request.headers.get("Authorization")
        changed = case.method.upper() in ("DELETE", "PATCH", "PUT", "POST") and response.status_code < 300
        if response.status_code != 401 and not (changed and b"/applications/" in response.request.url.encode() and case.method.upper() == "DELETE"):
            return
        with LOCK:
            if sent == f"Bearer {SETUP['token']}" and not still_there(SETUP["token"]):
                renew()
