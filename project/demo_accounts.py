"""The accounts that the demo data comes with. Never made outside the demo."""

from typing import NamedTuple


class DemoAccount(NamedTuple):
    """Who may sign in, as what and how."""

    role: str
    email: str
    password: str


DEMO_ACCOUNTS = [
    DemoAccount("admin", "admin@example.com", "demo-admin-password"),
    DemoAccount("staff", "staff@example.com", "demo-staff-password"),
    DemoAccount("customer", "customer@example.com", "demo-customer-password"),
]
