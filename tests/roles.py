"""Who may do what: a row for each method of each address."""

ROLES = ("anonymous", "owner", "stranger", "support", "catalogue", "superuser")

# What each role in turn gets; "ok" is whatever is no refusal of the person: done, or the body is not what it should be.
ANYBODY = "ok ok ok ok ok ok"
SIGNED_IN = "401 ok ok ok ok ok"
OWNER_AND_SUPPORT = "401 ok 404 ok 404 ok"
SUPPORT = "401 403 403 ok 403 ok"
SUPPORT_UNSEEN = "401 404 404 ok 404 ok"
CATALOGUE = "401 403 403 403 ok ok"
STAFF_ONLY = "401 403 403 ok ok ok"
# Served by a process of its own, to which this one leads where it knows of it; test_live.py asks there.
ELSEWHERE = "401 404 404 404 404 404"
MATRIX = {
    ("GET", "api"): ANYBODY,
    ("GET", "api/"): ANYBODY,
    ("GET", "api/schema"): ANYBODY,
    ("GET", "api/docs"): ANYBODY,
    ("GET", "api/redoc"): ANYBODY,
    ("POST", "api/users"): ANYBODY,
    ("GET", "api/users/<int:user_id>"): OWNER_AND_SUPPORT,
    ("PATCH", "api/users/<int:user_id>"): OWNER_AND_SUPPORT,
    ("POST", "api/users/<int:user_id>/deactivate"): OWNER_AND_SUPPORT,
    ("POST", "api/users/<int:user_id>/erase"): OWNER_AND_SUPPORT,
    ("POST", "api/auth/login"): ANYBODY,
    ("POST", "api/auth/logout"): SIGNED_IN,
    ("POST", "api/auth/logout-all"): SIGNED_IN,
    ("GET", "api/account"): SIGNED_IN,
    ("POST", "api/account/password"): SIGNED_IN,
    ("POST", "api/account/email"): SIGNED_IN,
    ("GET", "api/orders"): SUPPORT,
    ("POST", "api/orders"): SIGNED_IN,
    ("GET", "api/orders/<int:order_id>"): OWNER_AND_SUPPORT,
    ("POST", "api/orders/<int:order_id>/pay"): OWNER_AND_SUPPORT,
    ("POST", "api/orders/<int:order_id>/cancel"): OWNER_AND_SUPPORT,
    ("POST", "api/orders/<int:order_id>/ship"): SUPPORT,
    ("POST", "api/orders/<int:order_id>/deliver"): SUPPORT,
    ("POST", "api/orders/<int:order_id>/refund"): SUPPORT,
    ("POST", "api/orders/import"): SUPPORT,
    ("GET", "api/orders/import/<int:job_id>"): SUPPORT_UNSEEN,
    ("GET", "api/users/<int:user_id>/orders"): OWNER_AND_SUPPORT,
    ("GET", "api/users/<int:user_id>/orders/summary"): OWNER_AND_SUPPORT,
    ("GET", "api/orders/export"): SUPPORT,
    ("GET", "api/orders/<int:order_id>/events"): ELSEWHERE,
    ("GET", "api/users/<int:user_id>/orders/events"): ELSEWHERE,
    ("GET", "api/products"): ANYBODY,
    ("POST", "api/products"): CATALOGUE,
    ("GET", "api/products/<str:sku>"): ANYBODY,
    ("PATCH", "api/products/<str:sku>"): CATALOGUE,
    ("POST", "api/products/<str:sku>/restock"): CATALOGUE,
    ("GET", "api/sales"): STAFF_ONLY,
}
