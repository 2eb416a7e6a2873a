"""The article's: Flask, Redis, JSON, for anybody."""

import json
import os
from typing import Any

import redis
from flask import Flask, Response, abort, jsonify

application = Flask(__name__)
client = redis.Redis.from_url(os.environ["REDIS_URL"])


@application.get("/api/orders/<int:order_id>")
def order(order_id: int) -> Response | Any:
    """The document."""
    body = client.get(f"bench:order:{order_id}")
    if body is None:
        abort(404)
    return jsonify(json.loads(body))
