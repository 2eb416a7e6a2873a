"""The page of the API: all of it is described, and works from there."""

import json

from playwright.sync_api import expect

from tests.browser.conftest import ACCOUNTS

METHODS = {"get", "post", "put", "patch", "delete"}


def test_page_shows_every_operation(page, staff):
    paths = staff.get("/api/schema").json()["paths"].values()
    operations = [operation["operationId"] for path in paths for method, operation in path.items() if method in METHODS]
    page.goto("/api/docs")
    expect(page.locator(".opblock")).to_have_count(len(operations))
    for operation in operations:
        expect(page.locator(f".opblock[id$='-{operation}']")).to_be_visible()


def test_public_query_is_tried_out(page):
    page.goto("/api/docs")
    query = page.locator("#operations-products-ProductCard")
    query.get_by_role("button").first.click()
    query.get_by_role("button", name="Try it out").click()
    query.get_by_placeholder("sku").fill("P-00001")
    query.get_by_role("button", name="Execute").click()
    answer = query.locator(".live-responses-table .response")
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text('"sku": "P-00001"')


def test_prefilled_order_is_placed(page):
    login = {"email": ACCOUNTS["customer"].email, "password": ACCOUNTS["customer"].password}
    token = page.request.post("/api/auth/login", data=login).json()["token"]
    page.goto("/api/docs")
    page.get_by_role("button", name="Authorize").click()
    page.locator(".auth-container input").fill(token)
    page.locator(".auth-container").get_by_role("button", name="Apply credentials").click()
    page.locator(".auth-container").get_by_role("button", name="Close").click()
    command = page.locator("#operations-orders-place_order")
    command.get_by_role("button").first.click()
    command.get_by_role("button", name="Try it out").click()
    assert json.loads(command.locator("textarea").input_value()) == {"lines": [{"sku": "P-00001", "quantity": 2}]}
    command.get_by_role("button", name="Execute").click()
    expect(command.locator(".live-responses-table .response .response-col_status")).to_contain_text("201")


def test_other_page_shows_every_operation_too(page, staff):
    paths = staff.get("/api/schema").json()["paths"].values()
    operations = [operation for path in paths for method, operation in path.items() if method in METHODS]
    page.goto("/api/redoc")
    expect(page.locator("[data-section-id*='/operation/']")).to_have_count(len(operations))


def test_page_lets_no_script_of_elsewhere_in(site, browser):
    """As whoever got their text into the page would try it."""
    with browser.new_context(base_url=site.base_url) as context:
        page = context.new_page()
        page.goto("/api/redoc")
        seen = page.evaluate(
            """() => new Promise(done => {
                document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective))
                const script = document.createElement('script')
                script.textContent = 'window.hasRun = true'
                document.body.append(script)
                if (window.hasRun) done('it ran')
            })"""
        )
    assert seen == "script-src-elem"
