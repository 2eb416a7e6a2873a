"""Whom a limit counts for: what proxies say is believed of proxies only, however the header is forged."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory

from users.addresses import client_address

PROXY, OTHER_PROXY, STRANGER = "10.0.0.1", "10.0.0.2", "203.0.113.9"


@pytest.fixture
def proxied(settings):
    settings.TRUSTED_PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def address(peer, header="", name="X-Forwarded-For"):
    return client_address(RequestFactory().get("/", REMOTE_ADDR=peer, headers={name: header} if header else {}).META)


@pytest.mark.parametrize("header", ["198.51.100.1", "10.0.0.5", "", "x"])
def test_header_of_a_stranger_says_nothing(proxied, header):
    assert address(STRANGER, header) == STRANGER


def test_without_proxies_no_header_is_read(settings):
    settings.TRUSTED_PROXIES = ()
    assert address(PROXY, "198.51.100.1") == PROXY


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("198.51.100.1", "198.51.100.1"),
        # What stands before the last stranger was sent by that stranger.
        ("1.1.1.1, 198.51.100.1", "198.51.100.1"),
        (f"1.1.1.1, {OTHER_PROXY}, 198.51.100.1, {OTHER_PROXY}", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        (OTHER_PROXY, OTHER_PROXY),
        # Garbage is not looked behind.
        ("198.51.100.1, unknown", PROXY),
        ("198.51.100.1, 999.1.1.1", PROXY),
        (",, ,", PROXY),
        ("", PROXY),
    ],
)
def test_last_hop_that_is_no_proxy_is_who_asks(proxied, header, found):
    assert address(PROXY, header) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("for=198.51.100.1;proto=https", "198.51.100.1"),
        ('for=1.1.1.1, For="[2001:db8:1:2:3::4]:4711";by=10.0.0.1', "2001:db8:1:2::/64"),
        (f"for=1.1.1.1,for=198.51.100.1, for={OTHER_PROXY}", "198.51.100.1"),
        ("for=198.51.100.1, for=_hidden", PROXY),
    ],
)
def test_forwarded_is_read_where_it_is_what_the_proxy_writes(proxied, settings, header, found):
    settings.PROXY_HEADER = "Forwarded"
    assert address(PROXY, header, "Forwarded") == found


def test_the_header_that_the_proxy_does_not_write_is_not_read(proxied):
    assert address(PROXY, "for=198.51.100.1", "Forwarded") == PROXY


def test_a_network_of_ipv6_counts_as_one(proxied):
    assert address("2001:db8:1:2::1") == address("2001:db8:1:2:ffff::9") != address("2001:db8:1:3::1")


def test_a_peer_without_address_counts_too(proxied):
    assert address("") == "unknown"
