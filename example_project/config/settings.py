"""Settings of the example: what differs between a laptop and production comes from environment variables.

``SECRET_KEY``
    Must be set in production. Without it the project runs for its developer: ``DEBUG`` is on, the key is a
    known one, and only requests for localhost are answered.
``DEBUG``, ``ALLOWED_HOSTS``, ``CSRF_TRUSTED_ORIGINS``
    As in Django; lists are separated by commas.
``LOGIN_REQUIRED``
    Whether the dashboards ask for a login. Default: 1 unless ``DEBUG``.
``HTTPS``
    Whether the site is served over HTTPS behind a proxy that sets ``X-Forwarded-Proto``. Default: 1 unless ``DEBUG``.
``PROXIES``
    How many proxies of your own stand in front and append to ``X-Forwarded-For``. Default: 0.
``FIREHOSE_STREAM``
    The delivery stream that page views go to, like ``page-views-{shard}``, in place of the database; with it
    ``FIREHOSE_ENDPOINT`` and ``SPILL_FOLDER`` (default: ``spill`` in ``DATA_DIR``), and what boto3 reads itself.
``REPORT_FROM``
    Where the pages and ``demo_report`` read what was counted unless they are told: ``shards`` or ``warehouse``.
    Default: ``warehouse`` with ``FIREHOSE_STREAM``, else ``shards``.
``QUEUE_PREFIX``
    Stands in front of ``default`` in the name of the SQS queue that tasks go to, like ``stats-``; with it
    ``QUEUE_ENDPOINT``, and what boto3 reads itself. Without it a task is run where it is enqueued.
``ANONYMIZE_ADDRESSES``
    Whether the network of an address (IPv4 /24, IPv6 /48) is hashed, and the rest is forgotten. Default: 1.
``DYNAMODB_PREFIX``
    Stands in front of ``visitors`` and ``claims`` in the names of the tables of DynamoDB that profiles of visitors go
    to, like ``stats-``; with it ``DYNAMODB_ENDPOINT``, ``DYNAMODB_TIMEOUT_SECONDS`` (2), and what boto3 reads itself.
    Without it profiles are asked of the stored views.
``PROFILE_DAYS``
    For how many days after its last view a profile is kept; 0: there are none. Default: 30.
``CACHE_URLS``
    One or two clusters of memcached, ``a=memcached://HOST:PORT+HOST:PORT,b=elasticache://ENDPOINT:PORT``: two are
    written twice and read twice. Default: each process's own memory.
``REPORTS_A_MINUTE``
    How many reports the tracker takes from one address, as it is kept, in a minute; 0: any number. Default: 600.
``CONSENT_REQUIRED``
    Whether only visitors are counted whose page says that they have consented. Default: 0.
``VISITOR_SALT``
    The secret that makes visitors anonymous. Default: ``SECRET_KEY``.
``DATA_DIR``, ``STATIC_ROOT``
    Folders of the SQLite files and of ``collectstatic``. Default: ``data`` and ``data/static`` beside the project.

The databases are told by the variables that ``config/databases.py`` lists, screenshots by those of
``config/screenshots.py``, the log by those of ``config/logs.py``.
"""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.caches import read_caches
from config.collecting import read_sinks
from config.databases import read_databases
from config.logs import read_format, read_logging
from config.profiles import read_profiles
from config.queues import read_tasks
from config.screenshots import read_screenshots

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(environment.text("DATA_DIR") or BASE_DIR.parent / "data")
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = environment.flag("DEBUG", default=not environment.text("SECRET_KEY"))
SECRET_KEY = environment.text("SECRET_KEY") or ("a known key, for development only" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("The environment variable SECRET_KEY is not set: set it, or DEBUG=1 for development.")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS")

DATABASES = read_databases(DATA_DIR)
SHARDED = "SHARDS" in DATABASES["track"]
DATABASE_ROUTERS = [
    "config.routers.WarehouseRouter",
    "horizon_shards.routers.ShardRouter" if SHARDED else "config.routers.OneDatabaseRouter",
]
# Without shards the models' database is a plain one, and that is meant.
SILENCED_SYSTEM_CHECKS = [] if SHARDED else ["horizon_shards.E202"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "horizon_shards",
    "horizon_shards.queues",
    "track",
    "aggregate",
    "warehouse",
    "screenshot",
    "report",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "report.asked.AskedShardsMiddleware",
]
if environment.text("REPLICA_URLS"):
    MIDDLEWARE.insert(1, "horizon_shards.middleware.read_your_writes")
if environment.flag("LOGIN_REQUIRED", default=not DEBUG):
    MIDDLEWARE.append("django.contrib.auth.middleware.LoginRequiredMiddleware")
LOG_FORMAT = read_format(debug=DEBUG)
if LOG_FORMAT != "plain":
    LOGGING = read_logging(LOG_FORMAT)
    INSTALLED_APPS.append("django_structlog")
    MIDDLEWARE.insert(0, "config.request_lines.RequestLinesMiddleware")
    DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
LOGIN_URL = "admin:login"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = environment.text("STATIC_ROOT") or DATA_DIR / "static"

if environment.flag("HTTPS", default=not DEBUG):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

HORIZON_SINKS = read_sinks(DATA_DIR, sharded=SHARDED)
# Views are then in the warehouse alone, and counted there.
COLLECTS_BY_FIREHOSE = bool(environment.text("FIREHOSE_STREAM"))
REPORT_FROM = environment.one_of(
    "REPORT_FROM", "shards", "warehouse", default="warehouse" if COLLECTS_BY_FIREHOSE else "shards"
)
if tasks := read_tasks():
    TASKS = tasks
VISITOR_PROFILES = read_profiles()
ANONYMIZE_ADDRESSES = environment.flag("ANONYMIZE_ADDRESSES", default=True)
if caches := read_caches():
    CACHES = caches
SCREENSHOTS = read_screenshots(DATA_DIR)
REPORTS_A_MINUTE = environment.whole("REPORTS_A_MINUTE", 600)
CONSENT_REQUIRED = environment.flag("CONSENT_REQUIRED", default=False)
VISITOR_SALT = environment.text("VISITOR_SALT") or SECRET_KEY
PROXIES = environment.whole("PROXIES", 0)
