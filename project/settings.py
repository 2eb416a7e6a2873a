"""Django's settings: what every machine shares here, what differs in env.py."""

from datetime import timedelta
from typing import Any

import structlog
from psycopg.conninfo import conninfo_to_dict

from project import env
from readmodels import redaction, trace

ENV = env.read()
BASE_DIR = env.ROOT

SECRET_KEY = ENV.secret_key
DEBUG = ENV.is_debug
DEMO = ENV.is_demo
ALLOWED_HOSTS = ENV.allowed_hosts
TRUSTED_PROXIES = ENV.trusted_proxies
PROXY_HEADER = ENV.proxy_header
LIMITS = ENV.limits
SHORTCUT = ENV.shortcut

INSTALLED_APPS = [
    "project.apps.ProjectConfig",
    "users.apps.UsersConfig",
    "orders.apps.OrdersConfig",
    "readmodels.apps.ReadModelsConfig",
    "knox",
    "pgtrigger",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    # First, so that whatever is logged of a request has its trace.
    "readmodels.trace.middleware",
    "project.proxies.middleware",
    "project.security_headers.middleware",
    "django.middleware.security.SecurityMiddleware",
    "project.rate_limit.middleware",
    # Before the host is looked at: a probe asks by the address of a machine.
    "project.health.middleware",
    "project.pages.Middleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "project.shortcut_inside.Middleware",
]

# TLS: demanded of every page where it is ended here or by a proxy; a probe asks without.
IS_TLS = ENV.tls is not env.TLS.OFF
# Said of pages only, by project/security_headers.py.
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = None
SILENCED_SYSTEM_CHECKS = ["security.W002", "security.W022"]
SECURE_SSL_REDIRECT = IS_TLS
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = ENV.hsts_seconds if IS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_TLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_TLS
CSRF_COOKIE_HTTPONLY = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.tls is env.TLS.PROXY else None

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
APPEND_SLASH = False
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

_database = conninfo_to_dict(ENV.database_url)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", ""),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": _database.pop("port", ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # Not for Django, which prepares nothing: the projector has plans of its own kept (readmodels/together.py).
        "OPTIONS": {"connect_timeout": 5, "prepare_threshold": 5 if ENV.prepares_statements else None, **_database},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "users.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
REST_KNOX = {"TOKEN_TTL": timedelta(hours=12), "AUTO_REFRESH": False, "AUTH_HEADER_PREFIX": "Bearer"}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["users.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["users.permissions.SignedIn"],
    "DEFAULT_THROTTLE_CLASSES": ["project.rate_limit.RateLimit"],
    "UNAUTHENTICATED_USER": "users.authentication.anonymous",
    "UNAUTHENTICATED_TOKEN": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["project.strict_json.StrictJSONParser"],
    "EXCEPTION_HANDLER": "project.problems.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orders",
    "DESCRIPTION": "Commands write to PostgreSQL and answer with a consistency token; queries answer from read models.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    # The page's scripts and styles come with the project: nothing is fetched from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": ["project.openapi.add_problems"],
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = DEBUG

IMPORT_MAX_BYTES = ENV.import_max_bytes
IMPORT_MAX_LINES = ENV.import_max_lines

READMODELS = {
    "REDIS_URL": ENV.redis_url,
    "BROKER_URL": ENV.broker_url,
    # The same client serves both where nothing else is said.
    "LIMITS_URL": "" if ENV.limits_url == ENV.redis_url else ENV.limits_url,
    "EVENTS_URL": ENV.events_url,
    **ENV.numbers,
}

# Logs are events with fields; the standard library's own records take the same way out.
_log_processors: list[Any] = [
    trace.told,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[*_log_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "fields": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _log_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                # Tracebacks are text by now, and nothing is quoted yet.
                redaction.redact,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "fields"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # Lines for each task and each request, which say less than what the code at work says itself.
    "loggers": {
        **{name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.worker.strategy", "httpx")},
        # Django gives this one a handler of its own, and each line would come twice.
        "django": {"handlers": [], "level": "INFO"},
    },
}
