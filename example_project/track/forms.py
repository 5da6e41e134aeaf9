"""What may be in a report from a browser."""

from __future__ import annotations

from typing import Any

from django import forms

from track.access_log import path_of, referrer_host
from track.collecting import Hit
from track.log_file import event_id
from track.models import PATH_LENGTH


class HitForm(forms.Form):
    """Validates the fields of the beacon and of the pixel alike."""

    site = forms.CharField(max_length=64)
    path = forms.CharField(max_length=2_000)
    referrer = forms.CharField(max_length=2_000, required=False)
    id = forms.UUIDField(required=False)
    consent = forms.CharField(max_length=20, required=False)

    def clean_consent(self) -> bool:
        """Consent is said in so many words: anything else is none."""
        return self.cleaned_data["consent"].lower() in {"1", "true"}

    def clean_path(self) -> str:
        """The path without its query, which may hold what is nobody's business."""
        path = path_of(self.cleaned_data["path"])
        if not path.startswith("/"):
            raise forms.ValidationError("A path starts with a slash.")
        return path[:PATH_LENGTH]

    def clean_referrer(self) -> str:
        """The host alone."""
        return referrer_host(self.cleaned_data["referrer"])

    def hit(self) -> Hit:
        """The valid form as a hit."""
        data: dict[str, Any] = self.cleaned_data
        return Hit(data["path"], data["referrer"], event_id(data["id"].hex) if data["id"] else None)

    def problem(self) -> str:
        """The first error in one sentence that names the field."""
        name, errors = next(iter(self.errors.items()))
        return f"{name}: {errors[0]}"
