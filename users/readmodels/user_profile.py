"""What a user's own page shows."""

from django.db.models import F

from readmodels.declare import Document
from users.models import User


class UserProfile(Document):
    """One user as they and staff see them."""

    root = User
    body = {
        "id": F("id"),
        "email": F("email"),
        "name": F("name"),
        "country": F("country"),
        "is_active": F("is_active"),
        "is_staff": F("is_staff"),
        "is_support": F("is_support"),
        "is_catalogue": F("is_catalogue"),
        "version": F("version"),
        "created_at": F("created_at"),
    }
