"""The same with django-cacheops, which keeps the results of every query of these models."""

from bench.peers.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, READMODELS

INSTALLED_APPS = [*INSTALLED_APPS, "cacheops"]
CACHEOPS_REDIS = READMODELS["REDIS_URL"]
CACHEOPS = {"orders.*": {"ops": "all", "timeout": 3600}, "users.user": {"ops": "all", "timeout": 3600}}
