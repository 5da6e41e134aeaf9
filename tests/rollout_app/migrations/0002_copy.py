"""Copies rows with plain managers, which must stay on the shard that is being migrated."""

from django.db import migrations


def copy(apps, schema_editor):
    Page = apps.get_model("rollout_app", "Page")
    Copy = apps.get_model("rollout_app", "Copy")
    for page in Page.objects.order_by("site"):
        Copy.objects.create(site=page.site, path=page.path)
    Copy.objects.filter(path="/bulk").delete()
    Copy.objects.bulk_create([Copy(site=page.site, path="/bulk") for page in Page.objects.filter(path="/")])


def uncopy(apps, schema_editor):
    apps.get_model("rollout_app", "Copy").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("rollout_app", "0001_initial")]
    operations = [migrations.RunPython(copy, uncopy, hints={"database": "track"})]
