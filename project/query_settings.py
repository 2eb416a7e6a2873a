"""Settings of the query service: what the API answers to queries, by a process that needs Redis and no database.

Code and answers are the same. Commands and pages are not there, nor is what only they need.
"""

from project.settings import *  # noqa: F403
from project.settings import MIDDLEWARE as OF_THE_API

DATABASES = {}
ROOT_URLCONF = "project.query_urls"
OF_PAGES = {"project.pages.Middleware", "django.middleware.csrf.CsrfViewMiddleware"}
MIDDLEWARE = [name for name in OF_THE_API if name not in OF_PAGES]
