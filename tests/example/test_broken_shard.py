"""A shard that cannot be read: it is named, and websites on the other shards are shown."""

from __future__ import annotations

import json

ASK = """
import json, logging
from django.test import Client
from track.models import Website
from report.placement import shards_of
logging.disable(logging.CRITICAL)
client, answers = Client(headers={"host": "localhost"}), {}
for site in Website.objects.all():
    answers.setdefault(shards_of([site.pk])[site.pk], set()).add(client.get(site.get_absolute_url()).status_code)
overview = client.get("/")
answers = {shard: sorted(codes) for shard, codes in answers.items()}
print(json.dumps([answers, overview.status_code, overview.content.decode()]))
"""


def test_one_shard_is_broken(process, tmp_path):
    """Its websites and the overview say so with status 503; the others go on."""
    process("demo.py", "--no-serve", SHARDS="4")
    for file in (tmp_path / "data").glob("track_2.sqlite3*"):
        file.write_bytes(b"this is no database" * 500)
    said = process("manage.py", "shell", "--no-imports", "-v", "0", "-c", ASK, SHARDS="4")
    answers, status, content = json.loads(said.strip().splitlines()[-1])
    assert answers == {"track-1": [200], "track-2": [503], "track-3": [200], "track-4": [200]}
    assert status == 503
    assert "track-2" in content
