#!/usr/bin/env python3
"""Makes somebody of each role and prints `role token` lines; with a folder, also writes what each finds, by kind."""
import json, os, sys
import people

admin = people.first_admin()
clip = people.clip()
folder = sys.argv[1] if len(sys.argv) > 1 else None
for role in os.environ.get("SCHEMA_ROLES", " ".join(people.ROLES)).split():
    found = people.surroundings(admin, f"Schema {role}", clip)
    token = people.somebody(admin, role, found["app"][0])
    if folder:
        with open(os.path.join(folder, f"{role}.json"), "w", encoding="utf-8") as file:
            json.dump({"role": role, "token": token, "found": found}, file)
    print(role, token or "-")
