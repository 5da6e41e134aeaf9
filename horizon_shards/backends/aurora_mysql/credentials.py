"""Passwords that are not in the settings: IAM tokens and Secrets Manager (extra ``aws``)."""

from __future__ import annotations

import json
from typing import Any

from horizon_shards.backends.aurora_mysql.options import DEFAULT_PORT, ClusterOptions
from horizon_shards.exceptions import ConfigurationError

#: What Secrets Manager has told, by the secret's name and region.
_secrets: dict[tuple[str, str | None], dict[str, str]] = {}


class Credentials:
    """User and password of one attempt to connect."""

    def __init__(self, options: ClusterOptions) -> None:
        self.options = options

    def added_to(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the user and password of the secret, and the token of IAM; new ones each time."""
        if self.options.secret is not None:
            params = {**params, **self._secret()}
        if self.options.iam:
            params = {**params, "password": self._token(params), "auth_plugin": "mysql_clear_password"}
        return params

    def refresh(self) -> bool:
        """Whether another attempt may have another password: a secret that has been rotated."""
        if self.options.secret is None:
            return False
        _secrets.pop((self.options.secret, self.options.region), None)
        return True

    def _secret(self) -> dict[str, str]:
        name = str(self.options.secret)
        known = _secrets.get((name, self.options.region))
        if known is None:
            text = self._client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
            told = json.loads(text)
            known = {"user": told["username"], "password": told["password"]}
            _secrets[name, self.options.region] = known
        return known

    def _token(self, params: dict[str, Any]) -> str:
        """A token for this very server, signed without a question; it holds for 15 minutes."""
        token: str = self._client("rds").generate_db_auth_token(
            DBHostname=params["host"], Port=params.get("port", DEFAULT_PORT), DBUsername=params["user"]
        )
        return token

    def _client(self, service: str) -> Any:
        try:
            import boto3
        except ImportError as error:
            raise ConfigurationError(
                "CLUSTER['IAM'] and CLUSTER['SECRET'] need boto3: pip install 'horizon-shards[aws]'."
            ) from error
        return boto3.client(service, region_name=self.options.region)


def forget_all() -> None:
    """Know no secret."""
    _secrets.clear()
