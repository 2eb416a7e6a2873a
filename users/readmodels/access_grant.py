"""Who a request comes from: what queries need to authenticate without a table."""

from django.db.models import F
from knox.models import AuthToken

from readmodels.declare import Document


class AccessGrant(Document):
    """What one access token allows, found by the token's hash; the token itself is stored nowhere."""

    root = AuthToken
    key = F("digest")
    body = {
        "user_id": F("user_id"),
        "is_active": F("user__is_active"),
        "is_staff": F("user__is_staff"),
        "is_support": F("user__is_support"),
        "is_catalogue": F("user__is_catalogue"),
        "is_superuser": F("user__is_superuser"),
        "expires_at": F("expiry"),
    }
